using Mesh.Contracts;
using Mesh.Gateway.Feed;

namespace Mesh.Gateway.Pipeline;

/// <summary>
/// One feed request on its way through the pipeline. What the client asked is fixed; what the mesh knows of the user is
/// filled in by the pipeline itself, between stages, so that a stage given up for being late cannot write into it.
/// </summary>
internal sealed class FeedQuery
{
    /// <summary>The flag whose arm names the scorer inside the ranker.</summary>
    public const string RankerFlag = "ranker";

    public required string RequestId { get; init; }

    public required string UserId { get; init; }

    public required long NowMs { get; init; }

    public required int Limit { get; init; }

    public string Surface { get; init; } = "";

    public string Language { get; init; } = "";

    public string Region { get; init; } = "";

    public bool Explain { get; init; }

    public IReadOnlySet<string> ExcludeIds { get; init; } = new HashSet<string>(0);

    /// <summary>Where this page continues an earlier one; null for a fresh feed.</summary>
    public FeedCursor? Cursor { get; init; }

    public IReadOnlyDictionary<string, string> Arms { get; init; } = new Dictionary<string, string>();

    /// <summary>The user as of now; anonymous (nothing known) until hydrated, and where that failed.</summary>
    public UserContext Context { get; set; } = new() { Sequence = new Sequence(), Profile = new SocialProfile() };

    /// <summary>What the index knows of the items of the user's sequence.</summary>
    public IReadOnlyList<HistoryItem> History { get; set; } = [];

    /// <summary>Model that gave the history its codes; empty where none did.</summary>
    public string HistoryVersion { get; set; } = "";

    /// <summary>Model that gave the candidates their codes; empty where none did. What scores them must be of it too.</summary>
    public string CodesVersion { get; set; } = "";

    /// <summary>The user's sequence as the ranker holds it already; null where it was not prepared, or not in time.</summary>
    public PreparedContext? Prepared { get; set; }

    /// <summary>Snapshot that the candidates came from; null where none answered.</summary>
    public string? IndexVersion { get; set; }

    /// <summary>Model that gave the scores; null where none did.</summary>
    public string? ModelVersion { get; set; }

    /// <summary>Weights of the composite score, taxonomy order; empty where the ranker did not answer.</summary>
    public IReadOnlyList<float> Weights { get; set; } = [];

    public double CounterHalfLifeHours { get; set; }

    /// <summary>The arm that really scored: another than the user's where that one could not, and null where none did.</summary>
    public string? ScoredArm { get; set; }

    /// <summary>Why another arm than the user's scored; empty = the user's did.</summary>
    public string FallbackReason { get; set; } = "";

    /// <summary>Whether the scores are from a context that was encoded while the sources searched.</summary>
    public bool UsedPrepared { get; set; }

    /// <summary>The arms as they came about: what an experiment is judged by.</summary>
    public IReadOnlyDictionary<string, string> ServedArms =>
        ScoredArm is null ? Arms : new Dictionary<string, string>(Arms, StringComparer.Ordinal) { [RankerFlag] = ScoredArm };

    /// <summary>Names of stages that this page is served without, so that a later stage need not try the same again.</summary>
    public HashSet<string> Failed { get; } = new(StringComparer.Ordinal);

    /// <summary>Items of the user's sequence, impressions aside: what was done something with.</summary>
    public IEnumerable<(string ItemId, int Action)> SequenceItems()
    {
        Sequence sequence = Context.Sequence;
        int length = Math.Min(sequence.ItemIds.Count, sequence.Actions.Length);
        for (int i = 0; i < length; i++)
        {
            int action = sequence.Actions[i];
            if (action != ActionTaxonomy.Default.ImpressionIndex) yield return (sequence.ItemIds[i], action);
        }
    }
}

/// <summary>A user's sequence, encoded and held by the ranker.</summary>
/// <param name="ModelVersion">Model that encoded it.</param>
/// <param name="SequenceBytes">What sending it with its history takes, and naming it saves.</param>
internal sealed record PreparedContext(string ContextId, string ModelVersion, int SequenceBytes);
