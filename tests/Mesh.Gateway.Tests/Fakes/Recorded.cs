using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace Mesh.Gateway.Tests.Fakes;

/// <summary>Every measurement of the gateway's meter, by instrument and tag.</summary>
internal sealed class Recorded : IDisposable
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

    /// <summary>Waits until something was measured.</summary>
    public async Task HasAsync(string instrument, string tag, string value)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!Has(instrument, tag, value)) await Task.Delay(2, timeout.Token);
    }

    public void Dispose() => _listener.Dispose();

    private IEnumerable<(
        string Instrument, double Value, KeyValuePair<string, object?>[] Tags)> Matching(string instrument, string? tag, string? value) =>
        _measurements.Where(measurement => measurement.Instrument == instrument
            && (tag is null || measurement.Tags.Any(pair => pair.Key == tag && (string?)pair.Value == value)));
}
