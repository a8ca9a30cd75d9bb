using Mesh.Hosting;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;
using Mesh.IndexUpdater.Writing;
using Mesh.Inference;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater;

internal static class IndexUpdaterSetup
{
    public static void AddIndexUpdater(this WebApplicationBuilder builder)
    {
        IServiceCollection services = builder.Services;
        services.AddStartOptions<IndexUpdaterOptions>("IndexUpdater");
        services.AddSingleton<IndexUpdaterMetrics>();

        builder.AddInference();
        services.AddSingleton<IItemModels, PackageModels>();
        services.AddSingleton<IShardState, SidecarShardState>();
        services.AddSingleton<IDeltaPublisher, SidecarDeltaPublisher>();
        services.AddSingleton<ISnapshotBlobs, BindingSnapshotBlobs>();
        services.AddSingleton<SnapshotReader>();
        services.AddSingleton<DeltaLogReader>();
        services.AddSingleton<ShardWriterFactory>();

        services.AddSingleton<ShardNumberCheck>();
        services.AddHostedService(provider => provider.GetRequiredService<ShardNumberCheck>());
        services.AddHealthChecks().AddCheck<ShardNumberCheck>("shards", tags: [MeshDefaults.ReadyTag]);

        services.AddSingleton<ShardRouter>();
        services.AddSingleton<IShardClient, ActorShardClient>();
        services.AddSingleton<CountCoalescer>();
        services.AddSingleton<EventSubscriber>();
        services.AddSingleton<SnapshotRequests>();
        services.AddSingleton<CatalogueReader>();
        services.AddActors(actors =>
        {
            actors.Actors.RegisterActor<IndexShardActor>();
            actors.UseJsonSerialization = true;
        });
    }
}
