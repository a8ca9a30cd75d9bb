using System.Text.Json.Serialization;
using Mesh.Contracts;
using Mesh.Gateway.Input;
using Mesh.Gateway.Pipeline;

namespace Mesh.Gateway.Feed;

/// <summary>One page of a feed.</summary>
/// <param name="RequestId">ULID; send it with the events that the page leads to.</param>
/// <param name="NextCursor">Give it back for the next page; null where there is no more.</param>
/// <param name="Degraded">Stages that the page was served without.</param>
/// <param name="Arms">Arm of each feature flag that the user is in; of "ranker" the one that really scored.</param>
/// <param name="ModelVersion">Model that scored; null where none answered.</param>
/// <param name="IndexVersion">Snapshot that the candidates are from; null where none answered.</param>
/// <param name="TimingsMs">Milliseconds of each stage, and total.</param>
/// <param name="Ranking">With explain: what scored the page.</param>
/// <param name="Removed">With explain: how many candidates each filter took out, and examples.</param>
public sealed record FeedResponse(
    string RequestId, IReadOnlyList<FeedItem> Items, string? NextCursor, IReadOnlyList<Degradation> Degraded, IReadOnlyDictionary<string, string> Arms,
    string? ModelVersion, string? IndexVersion, IReadOnlyDictionary<string, double> TimingsMs,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] RankingExplain? Ranking,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] RemovedExplain? Removed)
{
    private const int ExamplesMax = 50;

    internal static FeedResponse From(FeedSlate slate)
    {
        FeedQuery query = slate.Query;
        bool hasMore = slate.Selected.Count > 0 && (slate.Selected.Count == query.Limit || slate.Reserve.Count > 0);
        string? next = hasMore
            ? FeedCursor.After(query.Cursor, query.RequestId, slate.Selected.Select(candidate => candidate.ItemId)).Encode(query.UserId)
            : null;
        RemovedExplain? removed = query.Explain
            ? new RemovedExplain(
                slate.RemovedCounts, [.. slate.Removed.Take(ExamplesMax).Select(removal => new RemovedExample(removal.Candidate.ItemId, removal.Filter))])
            : null;
        return new FeedResponse(
            query.RequestId, [.. slate.Selected.Select(candidate => FeedItem.From(candidate, query))], next, slate.Degraded, query.ServedArms,
            query.ModelVersion, query.IndexVersion, slate.TimingsMs, query.Explain ? RankingExplain.From(query) : null, removed);
    }
}

/// <summary>One item of a page.</summary>
/// <param name="Score">What the page is sorted by: larger is better. Comparable within a page only.</param>
/// <param name="Sources">Every source that found it.</param>
/// <param name="InNetwork">Whether the user follows its author.</param>
/// <param name="CreatedAt">ISO 8601, UTC.</param>
public sealed record FeedItem(
    string ItemId, string AuthorId, double Score, IReadOnlyList<string> Sources, bool InNetwork, string CreatedAt,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ItemExplain? Explain)
{
    internal static FeedItem From(FeedCandidate candidate, FeedQuery query) => new(
        candidate.ItemId, candidate.AuthorId, double.IsFinite(candidate.Score) ? candidate.Score : 0, candidate.Sources, candidate.InNetwork,
        Moment.Format(candidate.Data.CreatedAtMs), query.Explain ? ItemExplain.From(candidate, query) : null);
}

/// <summary>Why an item has its score: score = composite, attenuated by diversityFactor and networkFactor.</summary>
/// <param name="Probabilities">Predicted chance of each action; empty where the ranker did not answer.</param>
/// <param name="Weights">Weight of each action; empty where the ranker did not answer.</param>
/// <param name="Composite">Sum of weights times probabilities, or the fallback's score.</param>
/// <param name="AuthorRank">How many better candidates of the same author there are.</param>
/// <param name="Similarity">Cosine of the user's query vector and the item, -1 to 1.</param>
/// <param name="Counters">Decayed counts of each action and of impressions, as of countersAsOf.</param>
/// <param name="Codes">Semantic ID, coarse to fine.</param>
public sealed record ItemExplain(
    IReadOnlyDictionary<string, float> Probabilities, IReadOnlyDictionary<string, float> Weights, double Composite, int AuthorRank, double DiversityFactor,
    double NetworkFactor, float Similarity, IReadOnlyDictionary<string, float> Counters, string? CountersAsOf, IReadOnlyList<uint> Codes)
{
    internal static ItemExplain From(FeedCandidate candidate, FeedQuery query) => new(
        ByAction(candidate.Probabilities), ByAction(query.Weights), double.IsFinite(candidate.Composite) ? candidate.Composite : 0, candidate.AuthorRank,
        candidate.DiversityFactor, candidate.NetworkFactor, float.IsFinite(candidate.Data.Similarity) ? candidate.Data.Similarity : 0,
        ByAction(candidate.Data.Counters?.Counts ?? []), candidate.Data.Counters is { AsOfMs: > 0 } counters ? Moment.Format(counters.AsOfMs) : null, [.. candidate.Data.Codes]);

    internal static Dictionary<string, float> ByAction(IReadOnlyList<float> values)
    {
        ActionTaxonomy taxonomy = ActionTaxonomy.Default;
        var named = new Dictionary<string, float>(values.Count, StringComparer.Ordinal);
        for (int i = 0; i < Math.Min(values.Count, taxonomy.CounterCount); i++) named[taxonomy.NameOf(i)] = float.IsFinite(values[i]) ? values[i] : 0;
        return named;
    }
}

/// <summary>What scored a page.</summary>
/// <param name="AskedArm">The arm that the user is in.</param>
/// <param name="Arm">The arm that scored; null where nothing was scored.</param>
/// <param name="FallbackReason">Why that is another; null where it is not.</param>
/// <param name="ModelVersion">Model that scored; null where none answered.</param>
/// <param name="Prepared">Whether the user's sequence was encoded while the candidates were searched, and not sent again.</param>
/// <param name="Weights">Weight of each action in the composite; empty where the ranker did not answer.</param>
public sealed record RankingExplain(
    string AskedArm, string? Arm, string? FallbackReason, string? ModelVersion, bool Prepared, IReadOnlyDictionary<string, float> Weights)
{
    internal static RankingExplain From(FeedQuery query) => new(
        query.Arms.GetValueOrDefault(FeedQuery.RankerFlag, ""), query.ScoredArm, query.FallbackReason.Length > 0 ? query.FallbackReason : null, query.ModelVersion,
        query.UsedPrepared, ItemExplain.ByAction(query.Weights));
}

/// <summary>What the filters took out.</summary>
/// <param name="Counts">Candidates removed by each filter that ran; duplicates live on in the one that was kept.</param>
/// <param name="Examples">Up to 50 removed items.</param>
public sealed record RemovedExplain(IReadOnlyDictionary<string, int> Counts, IReadOnlyList<RemovedExample> Examples);

public sealed record RemovedExample(string ItemId, string Filter);
