using System.Collections.Frozen;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker.Scoring;

/// <summary>The arms of this process: the transformer, and the scorers that need no model.</summary>
internal sealed class ScorerSet
{
    private readonly FrozenDictionary<string, IScorer> _byArm;
    private readonly string _default;

    /// <exception cref="InvalidOperationException">The default arm has no scorer.</exception>
    public ScorerSet(IEnumerable<IScorer> scorers, string defaultArm)
    {
        _byArm = scorers.ToFrozenDictionary(scorer => scorer.Arm, StringComparer.Ordinal);
        Arms = [.. _byArm.Keys.Append(TransformerScorer.ArmName).Order(StringComparer.Ordinal)];
        _default = Arms.Contains(defaultArm)
            ? defaultArm
            : throw new InvalidOperationException($"Ranker:DefaultArm is '{defaultArm}'; the arms here are: {string.Join(", ", Arms)}.");
    }

    public IReadOnlyList<string> Arms { get; }

    /// <summary>The arm that a request means: the default for an empty name.</summary>
    public string Resolve(string arm) => arm.Length == 0 ? _default : arm;

    /// <summary>The scorer of an arm that needs no model.</summary>
    public IScorer? Find(string arm) => _byArm.GetValueOrDefault(arm);
}
