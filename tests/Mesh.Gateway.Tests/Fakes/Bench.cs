using System.Diagnostics.Metrics;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Pipeline.Plan;
using Mesh.Gateway.Pipeline.Sources;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Gateway.Tests.Fakes;

/// <summary>A pipeline built of a YAML text and fakes, without a web server around it.</summary>
internal sealed class Bench : IDisposable
{
    private readonly ServiceProvider _provider = new ServiceCollection().AddMetrics().BuildServiceProvider();

    public Bench(string yaml, int budgetMs = 1_500, int queuedMax = 16)
    {
        GatewayOptions options = new() { RequestBudgetMs = budgetMs, SideEffectsQueuedMax = queuedMax };
        Metrics = new GatewayMetrics(_provider.GetRequiredService<IMeterFactory>());
        Plan = BuildPlan(yaml, Services, Topics, Clock, Meters);
        Queue = new SideEffectQueue(Plan, Metrics, Clock, Options.Create(options), NullLogger<SideEffectQueue>.Instance);
        Pipeline = new FeedPipeline(
            Plan, Queue, new StageHealth(NullLogger<StageHealth>.Instance), Metrics, Clock, Options.Create(options));
    }

    public FakeServices Services { get; } = new();

    public FakeTopics Topics { get; } = new();

    public FakeTimeProvider Clock { get; } = new(GatewayApp.Now);

    public GatewayMetrics Metrics { get; }

    public PipelinePlan Plan { get; }

    public SideEffectQueue Queue { get; }

    public FeedPipeline Pipeline { get; }

    public IMeterFactory Meters => _provider.GetRequiredService<IMeterFactory>();

    public static PipelinePlan BuildPlan(string yaml, FakeServices services, FakeTopics topics, TimeProvider clock, IMeterFactory? meters = null)
    {
        using ServiceProvider own = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var metrics = new GatewayMetrics(meters ?? own.GetRequiredService<IMeterFactory>());
        using var text = new StringReader(yaml);
        return new StageCatalog(services, topics, new RememberedTrending(clock), metrics).Build(PipelineFile.Parse("pipeline.yaml", text));
    }

    public static string ShippedYaml() => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "pipeline.yaml"));

    public FeedQuery Query(string userId = "u", int limit = 10, FeedCursor? cursor = null, string arm = "heuristic") => new()
    {
        RequestId = Ulid.NewUlid(Clock.GetUtcNow()).ToString(), UserId = userId, NowMs = Clock.GetUtcNow().ToUnixTimeMilliseconds(), Limit = limit, Cursor = cursor,
        Arms = new Dictionary<string, string> { ["ranker"] = arm },
    };

    public Task<FeedSlate> RunAsync(FeedQuery query) =>
        Pipeline.RunAsync(query, CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(30));

    public void Dispose()
    {
        Queue.Dispose();
        _provider.Dispose();
    }
}
