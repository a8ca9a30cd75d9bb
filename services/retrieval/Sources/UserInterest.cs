using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>How a history becomes an interest; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record InterestShape(int EventsMax, double HalfLifeHours, int QueryVectorsMax)
{
    public static InterestShape From(RetrievalOptions options) =>
        new(options.InterestEventsMax, options.InterestHalfLifeHours, options.QueryVectorsMax);
}

/// <summary>
/// What a user's history says to one index: the items of it that the index knows, query vectors, and what each semantic ID weighs.
/// An event weighs its action's default weight (negative actions below zero) times 0.5^(age / half-life), where age counts
/// back from the user's newest event: a user who returns after a year has the interest of the last visit.
/// </summary>
internal sealed class UserInterest
{
    private const float NormMin = 1e-6f; // below it a mean points nowhere

    private readonly Func<QueryVectors> _makeMeans;
    private QueryVectors? _means;

    private UserInterest(List<KnownItem> history, Func<QueryVectors> makeMeans, List<(KnownItem Item, double Weight)> weighed)
    {
        History = [.. history.Select(static item => item.State).OfType<RowState>()];
        Elsewhere = [.. history.Select(static item => item.Elsewhere).OfType<HistoryItem>()];
        _makeMeans = makeMeans;
        Weighed = [.. weighed.Select(static pair => (pair.Item.Codes, pair.Weight))];
    }

    /// <summary>Each distinct item of the sequence that the index knows, newest event first.</summary>
    public IReadOnlyList<RowState> History { get; }

    /// <summary>Items of the sequence that other shards hold, as they told it.</summary>
    public IReadOnlyList<HistoryItem> Elsewhere { get; }

    /// <summary>
    /// Query vectors where no user tower makes better ones, made when first asked for: with a tower nobody asks. Empty where nothing
    /// positive is known of the user.
    /// </summary>
    public QueryVectors Means => _means ??= _makeMeans();

    /// <summary>The semantic IDs of the items acted on, with what the events on each weigh together: below 0 where it is disliked, never 0.</summary>
    public IReadOnlyList<(uint[] Codes, double Weight)> Weighed { get; }

    /// <param name="elsewhere">What other shards know of the sequence's items; of the index's own model version.</param>
    public static UserInterest From(LiveIndex index, Sequence? sequence, InterestShape shape, IReadOnlyCollection<HistoryItem>? elsewhere = null)
    {
        if (sequence is null || sequence.ItemIds.Count == 0) return new UserInterest([], static () => QueryVectors.None, []);

        var others = new Dictionary<string, HistoryItem>(StringComparer.Ordinal);
        foreach (HistoryItem item in elsewhere ?? []) others[item.ItemId] = item;
        (List<KnownItem> history, List<(KnownItem Item, double Weight)> weighed) = Weigh(index, sequence, shape, others);
        return new UserInterest(history, () => MakeMeans(index, weighed, shape), weighed);
    }

    private static (List<KnownItem>, List<(KnownItem, double)>) Weigh(
        LiveIndex index, Sequence sequence, InterestShape shape, Dictionary<string, HistoryItem> others)
    {
        var history = new List<KnownItem>();
        var weights = new Dictionary<string, int>(StringComparer.Ordinal); // item id to its place in history, -1 where unknown
        var sums = new List<double>();
        long newestMs = sequence.TimesMs[^1];
        int events = 0;
        for (int i = sequence.ItemIds.Count - 1; i >= 0; i--)
        {
            string itemId = sequence.ItemIds[i];
            if (!weights.TryGetValue(itemId, out int at))
            {
                KnownItem? item = KnownItem.Find(index, others, itemId);
                weights[itemId] = at = item is null ? -1 : history.Count;
                if (item is { } known)
                {
                    history.Add(known);
                    sums.Add(0);
                }
            }

            double weight = WeightOf(sequence.Actions[i]);
            if (at < 0 || weight == 0 || ++events > shape.EventsMax) continue;
            sums[at] += weight * DecayedCounter.Factor(sequence.TimesMs[i], newestMs, shape.HalfLifeHours * 3_600_000);
        }

        List<(KnownItem, double)> weighed = [.. history.Select((item, i) => (item, sums[i])).Where(static pair => pair.Item2 != 0)];
        return (history, weighed);
    }

    private static double WeightOf(byte action) =>
        action < ActionTaxonomy.Default.Count ? ActionTaxonomy.Default.DefaultWeights[action] : 0;

    // One vector per first-level code (a coarse topic) while codes exist, so that a user of two topics is not served the
    // midpoint of both; the heaviest topics only. Without codes every item falls into one group: the mean of all.
    private static QueryVectors MakeMeans(LiveIndex index, List<(KnownItem Item, double Weight)> weighed, InterestShape shape)
    {
        int dimensions = index.Vectors.Dimensions;
        IEnumerable<IGrouping<long, (KnownItem Item, double Weight)>> topics = weighed
            .GroupBy(static pair => pair.Item.Codes is [var first, ..] ? first : -1L)
            .Where(static topic => topic.Any(static pair => pair.Weight > 0))
            .OrderByDescending(static topic => topic.Sum(static pair => pair.Weight))
            .ThenBy(static topic => topic.Key)
            .Take(shape.QueryVectorsMax);

        var vectors = new List<float>();
        var mean = new float[dimensions];
        foreach (IGrouping<long, (KnownItem Item, double Weight)> topic in topics)
        {
            Array.Clear(mean);
            foreach ((KnownItem item, double weight) in topic) item.AddTo(mean, (float)weight, index);

            float norm = TensorPrimitives.Norm<float>(mean);
            if (norm < NormMin) continue;
            TensorPrimitives.Divide(mean, norm, mean);
            vectors.AddRange(mean);
        }

        return vectors.Count == 0 ? QueryVectors.None : new QueryVectors([.. vectors], dimensions);
    }

    /// <summary>An item of the history: a row of this index, or of another shard, which told what it knows of it.</summary>
    private readonly record struct KnownItem(RowState? State, HistoryItem? Elsewhere, uint[] Codes)
    {
        public static KnownItem? Find(LiveIndex index, Dictionary<string, HistoryItem> others, string itemId)
        {
            if (index.Find(itemId) is { } state) return new KnownItem(state, null, state.Facts.Codes);
            return others.TryGetValue(itemId, out HistoryItem? other) ? new KnownItem(null, other, [.. other.Codes]) : null;
        }

        /// <summary>Adds the item's vector times a weight. An embedding that is absent or of other dimensions counts as none.</summary>
        public void AddTo(Span<float> sum, float weight, LiveIndex index)
        {
            ReadOnlySpan<float> vector = State is { } state ? index.VectorOf(state) : MemoryMarshal.Cast<byte, float>(Elsewhere!.Embedding.Span);
            if (vector.Length == sum.Length) TensorPrimitives.MultiplyAdd(vector, weight, sum, sum);
        }
    }
}
