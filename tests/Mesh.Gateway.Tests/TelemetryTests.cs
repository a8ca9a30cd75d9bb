using Mesh.Contracts;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>Metrics and the side-effect queue: what an operator relies on.</summary>
public sealed class TelemetryTests
{
    [Fact]
    public async Task A_page_counts_its_stages_removals_and_failures()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        using var recorded = new Recorded(bench.Meters);
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "muted")]);
        bench.Services.Users["u"] = new UserContext { Profile = new SocialProfile { Mutes = { "muted" } } };
        bench.Services.Down[AppIds.Ranker] = true;

        await bench.RunAsync(bench.Query());

        Assert.Equal(1, recorded.Sum("mesh.gateway.filter.removed", "filter", "muted-authors"));
        Assert.Equal(1, recorded.Sum("mesh.gateway.stage.served_without", "stage", "ranker"));
        Assert.Equal(2, recorded.Sum("mesh.gateway.stage.candidates_out", "stage", "retrieval"));
        Assert.Equal(2, recorded.Sum("mesh.gateway.stage.candidates_in", "stage", "muted-authors"));
        Assert.Equal(1, recorded.Sum("mesh.gateway.stage.candidates_out", "stage", "muted-authors"));
        Assert.Equal(1, recorded.Sum("mesh.gateway.feed.requests", "outcome", "degraded"));
        Assert.True(recorded.Has("mesh.gateway.stage.duration", "stage", "user-context"));
    }

    [Fact]
    public async Task A_full_queue_drops_the_oldest_page_and_counts_it()
    {
        using var bench = new Bench(Bench.ShippedYaml(), queuedMax: 2);
        using var recorded = new Recorded(bench.Meters);
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));

        for (int i = 0; i < 5; i++) await bench.RunAsync(bench.Query($"user-{i}")); // the queue's workers are not running yet
        await bench.Queue.StartAsync(CancellationToken.None);
        for (int i = 0; i < 2; i++) Assert.True(await bench.Services.RequestLogged.WaitAsync(TimeSpan.FromSeconds(20)));
        await bench.Queue.StopAsync(CancellationToken.None);

        Assert.Equal(3, recorded.Sum("mesh.gateway.side_effects.dropped", null, null));
        Assert.Equal(["user-3", "user-4"], bench.Services.RequestLog.Select(entry => entry.UserId).Order());
    }

    [Fact]
    public async Task Stopping_runs_the_side_effects_that_still_wait()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        for (int i = 0; i < 5; i++) await bench.RunAsync(bench.Query($"user-{i}"));

        await bench.Queue.StartAsync(CancellationToken.None);
        await bench.Queue.StopAsync(CancellationToken.None);

        Assert.Equal(5, bench.Services.RequestLog.Count);
        Assert.Equal(5, bench.Topics.On<Impressions>(Topics.Impressions).Count);
    }

    [Fact]
    public async Task One_failed_side_effect_neither_stops_the_other_nor_the_next_page()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        using var recorded = new Recorded(bench.Meters);
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        bench.Topics.IsDown = true;
        await bench.Queue.StartAsync(CancellationToken.None);

        for (int i = 0; i < 2; i++) await bench.RunAsync(bench.Query($"user-{i}"));
        for (int i = 0; i < 2; i++) Assert.True(await bench.Services.RequestLogged.WaitAsync(TimeSpan.FromSeconds(20)));
        await bench.Queue.StopAsync(CancellationToken.None);

        Assert.Equal(2, bench.Services.RequestLog.Count);
        Assert.Equal(2, recorded.Sum("mesh.gateway.side_effects.failed", "stage", "impressions"));
    }
}
