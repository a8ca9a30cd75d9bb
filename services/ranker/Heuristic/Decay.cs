namespace Mesh.Ranker.Heuristic;

/// <summary>0.5 ^ (age / half-life); what lies in the future counts as now.</summary>
internal static class Decay
{
    public static double Over(long nowMs, long thenMs, TimeSpan halfLife) =>
        Math.Pow(0.5, Math.Max(0, (double)nowMs - thenMs) / halfLife.TotalMilliseconds);
}
