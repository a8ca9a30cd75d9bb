using System.Numerics;
using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// Names a candidate's score within a context. The item is held by its id, so that no id can be made to collide with another.
/// The facts are everything else that the model reads and that says what the candidate is: author, codes, kind, network,
/// surface, and its age in the model's own logarithmic steps. Engagement counters are left out on purpose: they move with every
/// event anywhere, and the age limit of the cache bounds how stale a score may be in them.
/// </summary>
internal readonly record struct ScoreKey(string ItemId, ulong Facts)
{
    public static ScoreKey Of(Candidate candidate, CandidateMoment moment)
    {
        ulong facts = (uint)candidate.AuthorId.GetHashCode(StringComparison.Ordinal);
        facts = StableHash.Mix(facts ^ ((ulong)(uint)moment.Surface.GetHashCode(StringComparison.Ordinal) << 32));
        facts = StableHash.Mix(facts ^ (ulong)candidate.DurationMs);
        facts = StableHash.Mix(facts ^ (ulong)AgeStep(moment.NowMs - candidate.CreatedAtMs) ^ (candidate.InNetwork ? 1UL << 32 : 0));
        facts = StableHash.Mix(facts ^ (ulong)BitConverter.DoubleToInt64Bits(moment.CounterHalfLifeHours));
        for (int level = 0; level < candidate.Codes.Count; level++) facts = StableHash.Mix(facts ^ candidate.Codes[level]);
        return new ScoreKey(candidate.ItemId, facts);
    }

    private static int AgeStep(long ms) => 64 - BitOperations.LeadingZeroCount((ulong)Math.Max(0, ms) / 1_000);
}
