using Mesh.Hosting;
using Mesh.Inference;
using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Requests;
using Mesh.Retrieval.Sources;
using Mesh.Retrieval.Values;
using Mesh.Snapshots;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval;

/// <summary>Everything this service owns.</summary>
internal static class RetrievalSetup
{
    public static void AddRetrieval(this WebApplicationBuilder builder)
    {
        IServiceCollection services = builder.Services;
        services.AddStartOptions<RetrievalOptions>(RetrievalOptions.Section);
        services.AddSingleton<IValidateOptions<RetrievalOptions>, RetrievalOptionsRules>();

        // Not validated by the framework: its validation throws into whoever reloads the configuration. ValueFormulas checks.
        services.AddOptions<ValueFormulaOptions>().BindConfiguration(RetrievalOptions.Section);
        services.AddSingleton<ValueFormulas>();

        builder.AddInference();
        services.AddSingleton<IndexHolder>();
        services.AddSingleton<FollowerState>();
        services.AddSingleton<RetrievalMetrics>();
        services.AddSingleton<RefusedRows>();
        services.AddSingleton<IDeltaFeed, UpdaterDeltaFeed>();
        services.AddSingleton<ISnapshotBlobs, BindingSnapshotBlobs>();
        services.AddSingleton<SnapshotLoader>();
        services.AddSingleton<IndexFollower>();
        services.AddHostedService(provider => provider.GetRequiredService<IndexFollower>());
        services.AddHealthChecks().AddCheck<IndexHealthCheck>("index", tags: [MeshDefaults.ReadyTag]);

        services.AddSingleton<ISource>(provider => new InNetworkSource(InNetworkShape.From(Options(provider))));
        services.AddSingleton(provider => TwoTowerShape.From(Options(provider)));
        services.AddSingleton<ISource, TwoTowerSource>();
        services.AddSingleton<ICodeDecoder>(provider => new HistoryDecoder(Options(provider).TrendingPrior));
        services.AddSingleton(provider => BeamShape.From(Options(provider)));
        services.AddSingleton<ISource, SemanticIdSource>();
        services.AddSingleton<ISource, TrendingSource>();
        services.AddSingleton<QueryMaker>();
        services.AddSingleton<Retriever>();
        services.AddSingleton(provider => new AdmissionGate(Options(provider).ConcurrentRequests));
    }

    private static RetrievalOptions Options(IServiceProvider provider) => provider.GetRequiredService<IOptions<RetrievalOptions>>().Value;
}
