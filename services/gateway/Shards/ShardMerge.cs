using Mesh.Contracts;

namespace Mesh.Gateway.Shards;

/// <summary>What one shard answered.</summary>
/// <param name="Shard">Its number, which is its place in <see cref="GatewayOptions.Retrieval"/>.</param>
internal sealed record ShardAnswer<T>(int Shard, string AppId, T Value);

/// <summary>
/// Answers of several shards as the answer of one index. Every shard was asked for each source's whole limit and ranks by scores that do not
/// depend on what else it holds, so the best of all answers are the best of all rows: exact, but for what docs/shards.md names.
/// </summary>
internal static class ShardMerge
{
    private const string InNetwork = "in-network";

    /// <summary>
    /// Answers of one model version, which codes, vectors and scores must share: the version of most shards, of equally many that of the
    /// lowest. An empty shard knows of no version and fits each.
    /// </summary>
    public static (string Version, List<ShardAnswer<T>> Fitting, List<ShardAnswer<T>> Others) OneVersion<T>(
        IReadOnlyCollection<ShardAnswer<T>> answers, Func<T, string> versionOf)
    {
        string version = answers.Select(answer => versionOf(answer.Value)).Where(static version => version.Length > 0)
            .GroupBy(static version => version, StringComparer.Ordinal).MaxBy(static group => group.Count())?.Key ?? "";
        ILookup<bool, ShardAnswer<T>> fits = answers.ToLookup(answer => versionOf(answer.Value) is var own && (own.Length == 0 || own == version));
        return (version, [.. fits[true]], [.. fits[false]]);
    }

    /// <param name="answers">At least one; all of one model version.</param>
    public static RetrieveResponse Retrieved(RetrieveRequest request, IReadOnlyList<ShardAnswer<RetrieveResponse>> answers)
    {
        var merged = new RetrieveResponse
        {
            IndexVersion = Versions(answers.Select(static answer => answer.Value.IndexVersion)),
            ModelVersion = answers.Select(static answer => answer.Value.ModelVersion).FirstOrDefault(static version => version.Length > 0) ?? "",
            CounterHalfLifeHours = answers[0].Value.CounterHalfLifeHours,
        };
        int perAuthorMax = answers.Max(static answer => (int)answer.Value.InNetworkPerAuthorMax);
        var taken = new Dictionary<string, Candidate>(StringComparer.Ordinal);
        foreach (SourceRequest source in request.Sources)
        {
            List<Found> found = Best(source, answers, source.Name == InNetwork && perAuthorMax > 0 ? perAuthorMax : int.MaxValue);
            foreach (Found hit in found) Take(hit, source.Name, taken, merged);
            merged.Sources.Add(Report(source.Name, found.Count, answers));
        }

        merged.History.AddRange(History(request.Sequence?.ItemIds.Reverse() ?? [], answers.SelectMany(static answer => answer.Value.History)));
        return merged;
    }

    /// <summary>Each item once, in the order asked for.</summary>
    public static IEnumerable<HistoryItem> History(IEnumerable<string> itemIds, IEnumerable<HistoryItem> items)
    {
        var known = new Dictionary<string, HistoryItem>(StringComparer.Ordinal);
        foreach (HistoryItem item in items) known.TryAdd(item.ItemId, item);
        return itemIds.Distinct(StringComparer.Ordinal).Select(known.GetValueOrDefault).OfType<HistoryItem>();
    }

    /// <param name="answers">At least one; all of one model version.</param>
    public static SimilarResponse Similar(SimilarRequest request, IReadOnlyList<ShardAnswer<SimilarResponse>> answers)
    {
        var merged = new SimilarResponse { IndexVersion = Versions(answers.Select(static answer => answer.Value.IndexVersion)), ModelVersion = answers[0].Value.ModelVersion };
        IEnumerable<Found> found = answers.SelectMany(static answer => answer.Value.Candidates)
            .Select(static candidate => new Found(candidate, candidate.SourceScores.FirstOrDefault(), 0, 0));
        merged.Candidates.AddRange(found.Order(Found.BestFirst).DistinctBy(static hit => hit.Candidate.ItemId).Take((int)request.Limit).Select(static hit => hit.Candidate));
        return merged;
    }

    // Where a source divides its limit into parts, the n-th best of a part comes in at the part's score less ln(n): counted over all shards, else a
    // part that all of them hold would get its share from each. Elsewhere the score decides.
    private static List<Found> Best(SourceRequest source, IReadOnlyList<ShardAnswer<RetrieveResponse>> answers, int perAuthorMax)
    {
        IEnumerable<Found> found = answers.SelectMany(answer => Found.By(source.Name, answer.Value)).GroupBy(static hit => hit.Part).SelectMany(Rank);

        var best = new List<Found>();
        var ids = new HashSet<string>(StringComparer.Ordinal); // a topology that is wrong may have an item in two shards
        var ofAuthor = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (Found hit in found.OrderByDescending(static hit => hit.Count).ThenBy(static hit => hit, Found.BestFirst))
        {
            if (best.Count == source.Limit) break;
            if (!ids.Add(hit.Candidate.ItemId)) continue;
            int before = ofAuthor.GetValueOrDefault(hit.Candidate.AuthorId);
            if (before >= perAuthorMax) continue;
            ofAuthor[hit.Candidate.AuthorId] = before + 1;
            best.Add(hit);
        }

        return best;
    }

    private static IEnumerable<Found> Rank(IGrouping<uint, Found> part)
    {
        if (part.Key == 0) return part;
        double first = part.Max(static hit => hit.Count);
        return part.Order(Found.BestFirst).Select((hit, place) => hit with { Count = first - Math.Log(place + 1) });
    }

    private static void Take(Found hit, string source, Dictionary<string, Candidate> taken, RetrieveResponse merged)
    {
        if (!taken.TryGetValue(hit.Candidate.ItemId, out Candidate? candidate))
        {
            // A copy: what the shard said of sources that this item did not get through must not be said again.
            candidate = hit.Candidate.Clone();
            candidate.Sources.Clear();
            candidate.SourceScores.Clear();
            candidate.SourceParts.Clear();
            candidate.PartScores.Clear();
            taken[candidate.ItemId] = candidate;
            merged.Candidates.Add(candidate);
        }

        candidate.Sources.Add(source);
        candidate.SourceScores.Add(hit.Score);
        candidate.SourceParts.Add(hit.Part);
        candidate.PartScores.Add(hit.Count);
    }

    private static SourceReport Report(string source, int count, IReadOnlyList<ShardAnswer<RetrieveResponse>> answers)
    {
        var report = new SourceReport { Name = source, Count = (uint)count };
        foreach (ShardAnswer<RetrieveResponse> answer in answers)
        {
            if (answer.Value.Sources.FirstOrDefault(own => own.Name == source) is not { } own) continue;
            report.Micros = Math.Max(report.Micros, own.Micros);
            if (own.Error.Length > 0) report.Error += $"{(report.Error.Length > 0 ? "; " : "")}{answer.AppId}: {own.Error}";
        }

        return report;
    }

    private static string Versions(IEnumerable<string> versions) => string.Join(',', versions.Where(static version => version.Length > 0).Distinct(StringComparer.Ordinal));

    /// <summary>A candidate as one source found it.</summary>
    /// <param name="Count">What it is ordered by among all: the score, or what its part counts.</param>
    private readonly record struct Found(Candidate Candidate, double Score, uint Part, double Count)
    {
        /// <summary>By score, then newer, then the smaller item id: as retrieval orders rows.</summary>
        public static readonly Comparer<Found> BestFirst = Comparer<Found>.Create(static (x, y) =>
        {
            int order = y.Score.CompareTo(x.Score);
            if (order == 0) order = y.Candidate.CreatedAtMs.CompareTo(x.Candidate.CreatedAtMs);
            return order != 0 ? order : string.CompareOrdinal(x.Candidate.ItemId, y.Candidate.ItemId);
        });

        public static IEnumerable<Found> By(string source, RetrieveResponse response)
        {
            foreach (Candidate candidate in response.Candidates)
            {
                int at = candidate.Sources.IndexOf(source);
                if (at < 0) continue;
                (double score, uint part) = (candidate.SourceScores.ElementAtOrDefault(at), candidate.SourceParts.ElementAtOrDefault(at));
                yield return new Found(candidate, score, part, part == 0 ? score : candidate.PartScores.ElementAtOrDefault(at));
            }
        }
    }
}
