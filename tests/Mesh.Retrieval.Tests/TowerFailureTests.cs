using System.Diagnostics.Metrics;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Mesh.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Retrieval.Tests;

/// <summary>A tower that is finite for a user without history, so that it opens, and for nobody else.</summary>
public sealed class TowerFailureTests : IDisposable
{
    private static readonly Sequence Viewed = Make.Sequence(("a", "like", Make.Now - 2));

    private readonly InferenceRuntime _runtime = ModelVariant.NewRuntime();
    private readonly TempFolder _root = new();
    private readonly FakeTimeProvider _clock = Make.Clock();
    private readonly LogLines _lines = new();
    private readonly UserTower _tower;
    private readonly LiveIndex _index;

    public TowerFailureTests()
    {
        ModelVariant.CopyMini(_root.Path);
        string folder = _root.In("mini");
        byte[] graph = TestGraphs.UserTower(ModelPackage.ReadManifest(folder));
        File.WriteAllBytes(Path.Combine(folder, "user.onnx"), graph);
        ModelVariant.Seal(folder);
        _tower = UserTower.Open(graph, File.ReadAllBytes(Path.Combine(folder, ModelManifest.FileName)), _runtime, CancellationToken.None);
        _index = new LiveIndex(IndexOrigin.None(24), IndexLimits.From(Make.Options), _clock, _tower);
        float[] vector = new float[_tower.Dimensions];
        vector[3] = 1;
        _index.Apply(Make.Upsert(1, Make.Row("a", vector: vector)), out _);
    }

    public void Dispose()
    {
        _tower.Dispose();
        _runtime.Dispose();
        _root.Dispose();
    }

    [Fact]
    public async Task Vectors_that_are_not_finite_are_never_searched_with_and_the_first_is_logged()
    {
        using ILoggerFactory loggers = LoggerFactory.Create(logging => logging.AddProvider(_lines));
        IMeterFactory meters = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>();
        IOptions<RetrievalOptions> options = Options.Create(new RetrievalOptions { TowerTimeoutMs = 1_000 });
        var maker = new QueryMaker(new RetrievalMetrics(meters, new IndexHolder(), new FollowerState(_clock)), _clock, options, loggers.CreateLogger<QueryMaker>());
        UserInterest interest = UserInterest.From(_index, Viewed, InterestShape.From(options.Value));

        for (int i = 0; i < 5; i++)
        {
            QueryVectors queries = await maker.MakeAsync(_index, Viewed, [new HistoryItem { ItemId = "a" }], interest, CancellationToken.None);

            Assert.Same(interest.Means, queries);
        }

        Assert.Equal(1, _lines.Count(3011));
        _clock.Advance(TimeSpan.FromSeconds(10));
        await maker.MakeAsync(_index, Viewed, [new HistoryItem { ItemId = "a" }], interest, CancellationToken.None);
        Assert.Equal(2, _lines.Count(3011));
    }

    [Fact]
    public async Task The_tower_says_what_it_gave()
    {
        InvalidDataException failure = await Assert.ThrowsAsync<InvalidDataException>(
            () => _tower.EncodeAsync(Viewed, new Dictionary<string, HistoryItem>(), CancellationToken.None));

        Assert.EndsWith("; query vectors are finite.", failure.Message, StringComparison.Ordinal);
    }
}
