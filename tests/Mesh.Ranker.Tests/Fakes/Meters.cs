using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.Ranker.Tests.Fakes;

/// <summary>Metrics of one test's own, with their counters added up by name and tags: "mesh.ranker.fallbacks reason=late".</summary>
internal sealed class Meters : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly MeterListener _listener = new();
    private readonly Dictionary<string, long> _sums = new(StringComparer.Ordinal); // under its own lock

    public Meters(IMeterFactory? factory = null)
    {
        factory ??= _services.GetRequiredService<IMeterFactory>();
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "Mesh.Ranker" && ReferenceEquals(instrument.Meter.Scope, factory)) listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument.Name, value, tags));
        _listener.Start();
        Metrics = new RankerMetrics(factory);
    }

    public RankerMetrics Metrics { get; }

    public long this[string nameAndTags]
    {
        get { lock (_sums) return _sums.GetValueOrDefault(nameAndTags); }
    }

    public void Dispose()
    {
        _listener.Dispose();
        _services.Dispose();
    }

    private void Add(string name, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string key = name;
        foreach ((string tag, object? content) in tags) key += $" {tag}={content}";
        lock (_sums) _sums[key] = _sums.GetValueOrDefault(key) + value;
    }
}
