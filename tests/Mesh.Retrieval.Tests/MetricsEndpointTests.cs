namespace Mesh.Retrieval.Tests;

/// <summary>A listener hears all meters of its name in the process, those of other tests' apps too: these run alone.</summary>
[CollectionDefinition(nameof(MetricsEndpointTests), DisableParallelization = true)]
public sealed class MetricsEndpointCollection;

[Collection(nameof(MetricsEndpointTests))]
public sealed class MetricsEndpointTests
{
    [Fact]
    public async Task Metrics_are_scraped_under_their_names()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("a"))]);
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();
        await client.PostAsync("/retrieve", Make.Request(null, ("trending", 1)));

        string metrics = await client.GetStringAsync("/metrics");

        Assert.Contains("mesh_retrieval_source_duration_seconds_count", metrics, StringComparison.Ordinal);
        Assert.Contains("mesh_retrieval_index_bytes", metrics, StringComparison.Ordinal);
        Assert.Matches("mesh_retrieval_index_items.* 1", metrics);
        Assert.Matches("mesh_retrieval_snapshot_swaps.*cause=\"start\".* 1", metrics);
    }
}
