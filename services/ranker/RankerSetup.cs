using Mesh.Hosting;
using Mesh.Inference;
using Mesh.Numerics;
using Mesh.Ranker.Heuristic;
using Mesh.Ranker.Scoring;
using Mesh.Ranker.Transformer;
using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker;

/// <summary>Everything this service owns.</summary>
internal static class RankerSetup
{
    public static void AddRanker(this WebApplicationBuilder builder)
    {
        IServiceCollection services = builder.Services;
        IConfigurationSection section = builder.Configuration.GetSection("Ranker");
        services.AddStartOptions<RankerOptions>("Ranker");
        services.AddStartOptions<HeuristicOptions>("Ranker:Heuristic");
        services.AddSingleton<IValidateOptions<HeuristicOptions>, HeuristicOptionsCheck>();

        // Not validated by the framework: its validation throws into whoever reloads the configuration. ScoreWeights checks.
        services.AddOptions<ScoreWeightOptions>().Bind(section);
        services.AddSingleton<ScoreWeights>();

        services.AddSingleton<RankerMetrics>();
        services.AddSingleton<RankerFaults>();
        services.AddSingleton<HeuristicScorer>();
        services.AddSingleton<IScorer>(provider => provider.GetRequiredService<HeuristicScorer>());
        services.AddSingleton<IScorer, ExploreScorer>();
        services.AddSingleton(provider => new ScorerSet(
            provider.GetServices<IScorer>(), provider.GetRequiredService<IOptions<RankerOptions>>().Value.DefaultArm));
        services.AddSingleton<Ranking>();

        // One thread inside a run, as many runs as cores: two threads share a matrix at a place that depends on its height, and a part
        // of one row takes another path through the kernels, with other last bits (3 of 2,048 candidates at a height of 200).
        builder.Configuration.Sources.Insert(0, new MemoryConfigurationSource { InitialData = [new("Inference:IntraOpThreads", "1")] });
        builder.AddInference();
        services.AddTransformer();
    }

    private static void AddTransformer(this IServiceCollection services)
    {
        services.AddStartOptions<TransformerOptions>("Ranker:Transformer");
        services.AddSingleton<IModelStore, PackageStore>();
        services.AddSingleton(provider => new ModelSet(Options(provider).ModelsMax, Metrics(provider)));
        services.AddSingleton<ModelKeeper>();
        services.AddHostedService(provider => provider.GetRequiredService<ModelKeeper>());
        services.AddSingleton(provider =>
            new ContextCache(Options(provider).ContextsMax, Options(provider).ContextMebibytesMax * 1024L * 1024, Metrics(provider)));
        services.AddSingleton(provider => new ScoreCache(Options(provider), provider.GetRequiredService<TimeProvider>(), Uniform(), Metrics(provider)));
        services.AddSingleton(provider => new CandidateBatcher(Options(provider), Metrics(provider)));
        services.AddSingleton<TransformerScorer>();
    }

    private static TransformerOptions Options(IServiceProvider provider) => provider.GetRequiredService<IOptions<TransformerOptions>>().Value;

    private static RankerMetrics Metrics(IServiceProvider provider) => provider.GetRequiredService<RankerMetrics>();

    // One draw per request decides an early refresh; replicas need not agree on it. Above 0, up to 1.
    private static Func<double> Uniform()
    {
        long draws = 0;
        return () => ((StableHash.Mix((ulong)Interlocked.Increment(ref draws)) >> 11) + 1) / (double)(1UL << 53);
    }
}
