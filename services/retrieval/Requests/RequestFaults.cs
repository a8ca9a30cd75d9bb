using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Requests;

/// <summary>Collects every fault of a request, by field, before any work is done for it.</summary>
internal sealed class RequestFaults
{
    public const int SourceLimitMax = 10_000;
    public const int FollowsMax = 10_000;
    public const int SequenceMax = 4_096;
    public const int ExcludeMax = 20_000;
    public const int LookupMax = 1_000;
    public const int HistoryMax = SequenceMax;
    public const int SimilarMax = 2_000;
    private const int LanguageLengthMax = 35;
    private const int RegionLengthMax = 16;

    private static readonly string[] Sources = [SourceNames.InNetwork, SourceNames.TwoTower, SourceNames.SemanticId, SourceNames.Trending];

    private readonly Dictionary<string, List<string>> _faults = new(StringComparer.Ordinal);

    public bool Any => _faults.Count > 0;

    public Dictionary<string, string[]> ToDictionary() => _faults.ToDictionary(pair => pair.Key, pair => pair.Value.ToArray(), StringComparer.Ordinal);

    public static RequestFaults Of(RetrieveRequest request, out FilterPlan plan)
    {
        var faults = new RequestFaults();
        faults.Check(MeshId.IsValid(request.UserId), "user_id", MeshId.Rule);
        faults.Check(request.NowMs >= 0, "now_ms", $"is {request.NowMs}; Unix milliseconds are not negative");
        faults.CheckSequence(request.Sequence);
        faults.CheckSources(request);
        faults.Check(request.History.Count <= HistoryMax, "history", $"holds {request.History.Count} items; at most {HistoryMax} are allowed");
        int badEmbedding = IndexWhere(request.History, static item => !IsVector(item.Embedding));
        faults.Check(badEmbedding < 0, "history", $"entry {badEmbedding} has an embedding that is not finite float32 values");
        faults.Check(request.Follows.Count <= FollowsMax, "follows", $"names {request.Follows.Count} authors; at most {FollowsMax} are allowed");
        int badFollow = IndexWhere(request.Follows, static author => !MeshId.IsValid(author));
        faults.Check(badFollow < 0, "follows", $"entry {badFollow} is not an author id: {MeshId.Rule}");
        faults.Check(request.Exclude.Count <= ExcludeMax, "exclude", $"holds {request.Exclude.Count} hashes; at most {ExcludeMax} are allowed");
        faults.Check(request.Language.Length <= LanguageLengthMax, "language", $"is over {LanguageLengthMax} characters long");
        faults.Check(request.Region.Length <= RegionLengthMax, "region", $"is over {RegionLengthMax} characters long");
        if (!FilterPlans.TryParse(request.Filter, out plan, out string fault)) faults.Add("filter", fault);
        return faults;
    }

    public static RequestFaults Of(SimilarRequest request)
    {
        var faults = new RequestFaults();
        faults.Check(MeshId.IsValid(request.ItemId), "item_id", MeshId.Rule);
        faults.Check(request.Limit is >= 1 and <= SimilarMax, "limit", $"is {request.Limit}; must be 1..{SimilarMax}");
        faults.Check(IsVector(request.Embedding), "embedding", "is not finite float32 values");
        return faults;
    }

    public static RequestFaults Of(ItemLookupRequest request) => OfItems(request.ItemIds, LookupMax);

    public static RequestFaults Of(HistoryRequest request) => OfItems(request.ItemIds, HistoryMax);

    private static RequestFaults OfItems(RepeatedField<string> itemIds, int max)
    {
        var faults = new RequestFaults();
        faults.Check(itemIds.Count <= max, "item_ids", $"names {itemIds.Count} items; at most {max} are allowed");
        int badId = IndexWhere(itemIds, static item => !MeshId.IsValid(item));
        faults.Check(badId < 0, "item_ids", $"entry {badId} is not an item id: {MeshId.Rule}");
        return faults;
    }

    private void CheckSequence(Sequence? sequence)
    {
        if (sequence is null) return;
        int events = sequence.ItemIds.Count;
        Check(events <= SequenceMax, "sequence", $"holds {events} events; at most {SequenceMax} are allowed");
        Check(sequence.Actions.Length == events, "sequence.actions", $"has {sequence.Actions.Length} entries, item_ids has {events}");
        Check(sequence.TimesMs.Count == events, "sequence.times_ms", $"has {sequence.TimesMs.Count} entries, item_ids has {events}");
        int badAction = sequence.Actions.Span.IndexOfAnyInRange((byte)(ActionTaxonomy.Default.ImpressionIndex + 1), byte.MaxValue);
        Check(badAction < 0, "sequence.actions", $"entry {badAction} is over {ActionTaxonomy.Default.ImpressionIndex}, the last of contracts/actions.json");
    }

    private void CheckSources(RetrieveRequest request)
    {
        Check(request.Sources.Count > 0, "sources", "names no source");
        Check(request.Sources.Count <= Sources.Length, "sources", $"names {request.Sources.Count} sources; there are {Sources.Length}");
        for (int i = 0; i < Math.Min(request.Sources.Count, Sources.Length + 1); i++)
        {
            SourceRequest source = request.Sources[i];
            string field = $"sources[{i}]";
            Check(Sources.Contains(source.Name), $"{field}.name", $"is '{Shorten(source.Name)}'; known are {string.Join(", ", Sources)}");
            Check(source.Limit is >= 1 and <= SourceLimitMax, $"{field}.limit", $"is {source.Limit}; must be 1..{SourceLimitMax}");
            Check(request.Sources.Take(i).All(other => other.Name != source.Name), $"{field}.name", $"'{Shorten(source.Name)}' is named twice");
        }
    }

    // Empty is one too. Whether it has the index's dimensions is for the index to say.
    private static bool IsVector(ByteString embedding) =>
        embedding.IsEmpty || (embedding.Length % sizeof(float) == 0 && TensorPrimitives.IsFiniteAll(MemoryMarshal.Cast<byte, float>(embedding.Span)));

    private static int IndexWhere<T>(RepeatedField<T> values, Func<T, bool> isBad)
    {
        for (int i = 0; i < values.Count; i++)
        {
            if (isBad(values[i])) return i;
        }

        return -1;
    }

    private static string Shorten(string text) => text.Length <= 40 ? text : text[..40];

    private void Check(bool holds, string field, string fault)
    {
        if (!holds) Add(field, fault);
    }

    private void Add(string field, string fault)
    {
        if (!_faults.TryGetValue(field, out List<string>? faults)) _faults[field] = faults = [];
        faults.Add(fault);
    }
}
