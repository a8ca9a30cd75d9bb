using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
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

    /// <summary>Every measurement of the gateway's meter, by instrument and tag.</summary>
    private sealed class Recorded : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly ConcurrentQueue<(string Instrument, double Value, KeyValuePair<string, object?>[] Tags)> _measurements = new();

        public Recorded(IMeterFactory meters)
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "Mesh.Gateway" && instrument.Meter.Scope == meters)
                    listener.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<long>(
                (instrument, value, tags, _) => _measurements.Enqueue((instrument.Name, value, tags.ToArray())));
            _listener.SetMeasurementEventCallback<double>(
                (instrument, value, tags, _) => _measurements.Enqueue((instrument.Name, value, tags.ToArray())));
            _listener.Start();
        }

        public double Sum(string instrument, string? tag, string? value) =>
            Matching(instrument, tag, value).Sum(measurement => measurement.Value);

        public bool Has(string instrument, string tag, string value) => Matching(instrument, tag, value).Any();

        public void Dispose() => _listener.Dispose();

        private IEnumerable<(
            string Instrument, double Value, KeyValuePair<string, object?>[] Tags)> Matching(string instrument, string? tag, string? value) =>
            _measurements.Where(measurement => measurement.Instrument == instrument
                && (tag is null || measurement.Tags.Any(pair => pair.Key == tag && (string?)pair.Value == value)));
    }
}
