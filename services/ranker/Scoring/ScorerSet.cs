using System.Collections.Frozen;

namespace Mesh.Ranker.Scoring;

/// <summary>The scorers of this process by arm.</summary>
internal sealed class ScorerSet
{
    private readonly FrozenDictionary<string, IScorer> _byArm;

    /// <exception cref="InvalidOperationException">The default arm has no scorer.</exception>
    public ScorerSet(IEnumerable<IScorer> scorers, string defaultArm)
    {
        _byArm = scorers.ToFrozenDictionary(scorer => scorer.Arm, StringComparer.Ordinal);
        Arms = [.. _byArm.Keys.Order(StringComparer.Ordinal)];
        Default = Find(defaultArm)
            ?? throw new InvalidOperationException($"Ranker:DefaultArm is '{defaultArm}'; the arms here are: {string.Join(", ", Arms)}.");
    }

    public IReadOnlyList<string> Arms { get; }

    public IScorer Default { get; }

    /// <summary>The scorer of an arm; the default for an empty name, null for an unknown one.</summary>
    public IScorer? Find(string arm) => arm.Length == 0 ? Default : _byArm.GetValueOrDefault(arm);
}
