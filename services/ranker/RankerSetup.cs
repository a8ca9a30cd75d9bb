using Mesh.Ranker.Heuristic;
using Mesh.Ranker.Scoring;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker;

internal static class RankerSetup
{
    public static void AddRanker(this WebApplicationBuilder builder)
    {
        IServiceCollection services = builder.Services;
        IConfigurationSection section = builder.Configuration.GetSection("Ranker");
        services.AddOptions<RankerOptions>().Bind(section).ValidateDataAnnotations().ValidateOnStart();
        services.AddOptions<HeuristicOptions>().Bind(section.GetSection("Heuristic")).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<IValidateOptions<HeuristicOptions>, HeuristicOptionsCheck>();

        // Not validated by the framework: its validation throws into whoever reloads the configuration. ScoreWeights checks.
        services.AddOptions<ScoreWeightOptions>().Bind(section);
        services.AddSingleton<ScoreWeights>();

        services.AddSingleton<RankerMetrics>();
        services.AddSingleton<IScorer, HeuristicScorer>();
        services.AddSingleton(provider => new ScorerSet(
            provider.GetServices<IScorer>(), provider.GetRequiredService<IOptions<RankerOptions>>().Value.DefaultArm));
    }
}
