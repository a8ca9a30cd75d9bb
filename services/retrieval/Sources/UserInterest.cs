using System.Numerics.Tensors;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>How a history becomes an interest; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record InterestShape(int EventsMax, double HalfLifeHours, int QueryVectorsMax, int PrefixesMax)
{
    public static InterestShape From(RetrievalOptions options) =>
        new(options.InterestEventsMax, options.InterestHalfLifeHours, options.QueryVectorsMax, options.PrefixesMax);
}

/// <summary>
/// What a user's history says to one index: the items of it that the index knows, query vectors, and favoured prefixes.
/// An event weighs its action's default weight (negative actions below zero) times 0.5^(age / half-life), where age counts
/// back from the user's newest event: a user who returns after a year has the interest of the last visit.
/// </summary>
internal sealed class UserInterest
{
    private const float NormMin = 1e-6f; // below it a mean points nowhere

    private readonly Func<QueryVectors> _makeMeans;
    private QueryVectors? _means;

    private UserInterest(List<RowState> history, Func<QueryVectors> makeMeans, List<(Prefix, double)> prefixes)
    {
        History = history;
        _makeMeans = makeMeans;
        Prefixes = prefixes;
    }

    /// <summary>Each distinct item of the sequence that the index knows, newest event first.</summary>
    public IReadOnlyList<RowState> History { get; }

    /// <summary>
    /// Query vectors where no user tower makes better ones, made when first asked for: with a tower nobody asks. Empty where nothing
    /// positive is known of the user.
    /// </summary>
    public QueryVectors Means => _means ??= _makeMeans();

    /// <summary>Longest prefixes of the items acted on, heaviest first, all of positive weight.</summary>
    public IReadOnlyList<(Prefix Prefix, double Weight)> Prefixes { get; }

    public static UserInterest From(LiveIndex index, Sequence? sequence, InterestShape shape)
    {
        if (sequence is null || sequence.ItemIds.Count == 0) return new UserInterest([], static () => QueryVectors.None, []);

        (List<RowState> history, List<(RowState State, double Weight)> weighed) = Weigh(index, sequence, shape);
        return new UserInterest(history, () => MakeMeans(index, weighed, shape), FavourPrefixes(weighed, shape));
    }

    private static (List<RowState>, List<(RowState, double)>) Weigh(LiveIndex index, Sequence sequence, InterestShape shape)
    {
        var history = new List<RowState>();
        var weights = new Dictionary<string, int>(StringComparer.Ordinal); // item id to its place in history, -1 where unknown
        var sums = new List<double>();
        long newestMs = sequence.TimesMs[^1];
        int events = 0;
        for (int i = sequence.ItemIds.Count - 1; i >= 0; i--)
        {
            string itemId = sequence.ItemIds[i];
            if (!weights.TryGetValue(itemId, out int at))
            {
                RowState? state = index.Find(itemId);
                weights[itemId] = at = state is null ? -1 : history.Count;
                if (state is not null)
                {
                    history.Add(state);
                    sums.Add(0);
                }
            }

            double weight = WeightOf(sequence.Actions[i]);
            if (at < 0 || weight == 0 || ++events > shape.EventsMax) continue;
            sums[at] += weight * DecayedCounter.Factor(sequence.TimesMs[i], newestMs, shape.HalfLifeHours * 3_600_000);
        }

        List<(RowState, double)> weighed = [.. history.Select((state, i) => (state, sums[i])).Where(static pair => pair.Item2 != 0)];
        return (history, weighed);
    }

    private static double WeightOf(byte action) =>
        action < ActionTaxonomy.Default.Count ? ActionTaxonomy.Default.DefaultWeights[action] : 0;

    // One vector per first-level code (a coarse topic) while codes exist, so that a user of two topics is not served the
    // midpoint of both; the heaviest topics only. Without codes every item falls into one group: the mean of all.
    private static QueryVectors MakeMeans(LiveIndex index, List<(RowState State, double Weight)> weighed, InterestShape shape)
    {
        int dimensions = index.Vectors.Dimensions;
        IEnumerable<IGrouping<long, (RowState State, double Weight)>> topics = weighed
            .GroupBy(static pair => pair.State.Facts.Codes is [var first, ..] ? first : -1L)
            .Where(static topic => topic.Any(static pair => pair.Weight > 0))
            .OrderByDescending(static topic => topic.Sum(static pair => pair.Weight))
            .ThenBy(static topic => topic.Key)
            .Take(shape.QueryVectorsMax);

        var vectors = new List<float>();
        var mean = new float[dimensions];
        foreach (IGrouping<long, (RowState State, double Weight)> topic in topics)
        {
            Array.Clear(mean);
            foreach ((RowState state, double weight) in topic)
            {
                TensorPrimitives.MultiplyAdd(index.VectorOf(state), (float)weight, mean, mean);
            }

            float norm = TensorPrimitives.Norm<float>(mean);
            if (norm < NormMin) continue;
            TensorPrimitives.Divide(mean, norm, mean);
            vectors.AddRange(mean);
        }

        return vectors.Count == 0 ? QueryVectors.None : new QueryVectors([.. vectors], dimensions);
    }

    private static List<(Prefix, double)> FavourPrefixes(List<(RowState State, double Weight)> weighed, InterestShape shape)
    {
        var sums = new Dictionary<Prefix, double>();
        foreach ((RowState state, double weight) in weighed)
        {
            if (Prefix.Of(state.Facts.Codes) is { } prefix) sums[prefix] = sums.GetValueOrDefault(prefix) + weight;
        }

        return
        [
            .. sums.Where(static pair => pair.Value > 0)
                .OrderByDescending(static pair => pair.Value).ThenBy(static pair => pair.Key.First).ThenBy(static pair => pair.Key.Second)
                .Take(shape.PrefixesMax).Select(static pair => (pair.Key, pair.Value)),
        ];
    }
}
