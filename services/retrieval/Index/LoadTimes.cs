using System.Diagnostics;
using System.Globalization;

namespace Mesh.Retrieval.Index;

/// <summary>How long each phase of making an index took, in order.</summary>
internal sealed class LoadTimes
{
    private readonly List<(string Name, TimeSpan Elapsed)> _phases = [];

    public IReadOnlyList<(string Name, TimeSpan Elapsed)> Phases => _phases;

    public IDisposable Phase(string name) => new Running(this, name);

    /// <summary>Phases with milliseconds.</summary>
    public override string ToString() => string.Join(", ", _phases.Select(static phase => string.Create(CultureInfo.InvariantCulture, $"{phase.Name} {phase.Elapsed.TotalMilliseconds:0}")));

    private sealed class Running(LoadTimes times, string name) : IDisposable
    {
        private readonly long _started = Stopwatch.GetTimestamp();

        public void Dispose() => times._phases.Add((name, Stopwatch.GetElapsedTime(_started)));
    }
}
