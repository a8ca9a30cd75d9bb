using Dapr.Actors;
using Mesh.Hosting;
using Mesh.SequenceStore.Sequences;
using Mesh.SequenceStore.Storage;
using Mesh.SequenceStore.Training;
using Mesh.SequenceStore.Writing;
using Microsoft.Extensions.Options;

namespace Mesh.SequenceStore;

internal static class SequenceSetup
{
    // The size that an event of ~30 bytes makes a chunk of about 8 KiB with: cheap to rewrite for a late event, and two of
    // them with the tail serve a request for 512 events.
    private const int ChunkEvents = 256;

    // Redeliveries that carry another time than the first delivery are recognised this far back; all others at any age.
    private const int RecentIdsMax = 1_024;

    public static void AddSequenceStore(this WebApplicationBuilder builder)
    {
        IServiceCollection services = builder.Services;
        services.AddStartOptions<SequenceOptions>("Sequence");
        services.AddSingleton<SequenceMetrics>();

        services.AddSingleton<IUserStateStore, SidecarUserState>();
        services.AddSingleton(provider => Shape(provider.GetRequiredService<IOptions<SequenceOptions>>().Value));
        services.AddSingleton<UserLog>();
        services.AddSingleton<UserProfile>();
        services.AddSingleton(provider => new ServedRing(Store(provider), provider.GetRequiredService<IOptions<SequenceOptions>>().Value.ServedMax));
        services.AddSingleton(provider => new UserDirectory(Store(provider)));
        services.AddSingleton<IDirectoryWriter, ActorDirectoryWriter>();
        services.AddSingleton(provider => new RequestLog(
            Store(provider), provider.GetRequiredService<IDirectoryWriter>(), provider.GetRequiredService<IOptions<SequenceOptions>>().Value.RequestPagesMax));
        services.AddSingleton<Erasure>();
        services.AddSingleton<SequenceReader>();
        services.AddSingleton<TrainingExport>();
        services.AddSingleton<ExportGate>();

        services.AddSingleton<IUserWriter, ActorUserWriter>();
        services.AddSingleton<EventSubscriber>();
        SequenceOptions options = builder.Configuration.GetSection("Sequence").Get<SequenceOptions>() ?? new SequenceOptions();
        services.AddActors(actors =>
        {
            actors.Actors.RegisterActor<UserSequenceActor>();
            actors.Actors.RegisterActor<UserBucketActor>();
            actors.UseJsonSerialization = true;
            actors.ActorIdleTimeout = TimeSpan.FromSeconds(options.ActorIdleSeconds);
            actors.ActorScanInterval = TimeSpan.FromSeconds(Math.Max(1, options.ActorIdleSeconds / 2));
        });
    }

    private static LogShape Shape(SequenceOptions options) =>
        new(ChunkEvents, options.EventsMax, options.RetentionDays, options.EngagedMax, RecentIdsMax);

    private static IUserStateStore Store(IServiceProvider provider) => provider.GetRequiredService<IUserStateStore>();
}
