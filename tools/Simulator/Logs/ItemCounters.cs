using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Simulator.Logs;

/// <summary>Engagement counters of a catalogue as index-updater keeps them: 14 actions and impressions, halving every half-life.</summary>
internal sealed class ItemCounters(int items)
{
    /// <summary>As IndexUpdater:CounterHalfLifeHours has it by default.</summary>
    public const double HalfLifeMs = 72 * 3_600_000.0;

    private readonly float[]?[] _counts = new float[items][];
    private readonly long[] _asOfMs = new long[items];

    /// <param name="index">In taxonomy order, the impression last.</param>
    public void Add(int item, int index, long timeMs)
    {
        float[] counts = _counts[item] ??= new float[ActionTaxonomy.Default.CounterCount];
        _asOfMs[item] = DecayedCounter.Add(counts, index, 1, timeMs, _asOfMs[item], HalfLifeMs);
    }

    /// <summary>A copy as of the last event counted; null where there was none.</summary>
    public Counters? Of(int item) => _counts[item] is { } counts ? new Counters { Counts = { counts }, AsOfMs = _asOfMs[item] } : null;

    /// <summary>Sum of default weights x counts, decayed to a moment: what trending is made of.</summary>
    public double EngagementAt(int item, long nowMs)
    {
        if (_counts[item] is not { } counts) return 0;
        double sum = 0;
        for (int action = 0; action < ActionTaxonomy.Default.Count; action++) sum += ActionTaxonomy.Default.DefaultWeights[action] * counts[action];
        return sum * DecayedCounter.Factor(_asOfMs[item], nowMs, HalfLifeMs);
    }
}
