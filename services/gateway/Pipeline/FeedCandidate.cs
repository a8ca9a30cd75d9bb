using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline;

/// <summary>One item that may be served, and what the stages found out about it. Written between stages only.</summary>
internal sealed class FeedCandidate(Candidate data)
{
    private readonly List<string> _sources = [.. data.Sources];

    /// <summary>What the index knows of the item. Never changed: remembered candidates share it between requests.</summary>
    public Candidate Data => data;

    public string ItemId => data.ItemId;

    public string AuthorId => data.AuthorId;

    public bool InNetwork { get; set; } = data.InNetwork;

    /// <summary>Sources that found it; all of them, where several did.</summary>
    public IReadOnlyList<string> Sources => _sources;

    /// <summary>Whether <see cref="Candidate.Text"/> was asked for. A text that was not fetched cannot be judged.</summary>
    public bool TextLoaded { get; init; } = true;

    /// <summary>14 probabilities in taxonomy order; empty where the ranker did not answer.</summary>
    public IReadOnlyList<float> Probabilities { get; set; } = [];

    /// <summary>Sum of weights times probabilities; NaN until a scorer gave one.</summary>
    public double Composite { get; set; } = double.NaN;

    /// <summary>How many better candidates of the same author there are.</summary>
    public int AuthorRank { get; set; }

    public double DiversityFactor { get; set; } = 1;

    public double NetworkFactor { get; set; } = 1;

    /// <summary>What the page is sorted by: the composite with the factors applied.</summary>
    public double Score => Attenuation.Apply(Attenuation.Apply(Composite, DiversityFactor), NetworkFactor);

    public void Merge(FeedCandidate duplicate)
    {
        foreach (string source in duplicate.Sources)
        {
            if (!_sources.Contains(source)) _sources.Add(source);
        }

        InNetwork |= duplicate.InNetwork;
    }
}

/// <summary>
/// Lowers a score by a factor of 0-1. A positive score is multiplied. A negative one loses the same share of its size
/// (times 2 - factor): multiplying would lift it, and the fourth bad item of an author would overtake the first.
/// </summary>
internal static class Attenuation
{
    public static double Apply(double score, double factor) => score >= 0 ? score * factor : score * (2 - factor);
}
