using System.Numerics;

namespace Mesh.Inference.Features;

/// <summary>Spans of time by powers of two of a second: bucket b holds 2^(b-1) .. 2^b - 1 seconds, 0 less than one, the last all above.</summary>
internal static class TimeBuckets
{
    public const int Count = 32;

    public static long Of(long milliseconds)
    {
        ulong seconds = (ulong)Math.Max(0, milliseconds) / 1000;
        return Math.Min(Count - 1, 64 - BitOperations.LeadingZeroCount(seconds));
    }
}
