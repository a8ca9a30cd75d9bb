using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Logs;

/// <summary>
/// Fills a page slot by slot from what a mesh would find (followed authors, popular, like what was clicked) and, for 3 slots in
/// 10, from anything at all: a ranker trained on it sees good and bad candidates for everybody.
/// </summary>
internal sealed class LoggingPolicy(SyntheticWorld world, ItemCounters counters, Random random)
{
    private const int TriesMax = 20;
    private const int PopularMax = 100;
    private const int RequestsPerRefresh = 64;
    private const double FreshnessMs = 72 * 3_600_000.0;

    private readonly int[][] _ofTopic =
    [
        .. Enumerable.Range(0, Vocabulary.Topics.Count).Select(topic => world.All.ToArray().Where(item => world.Catalogue[item].Topic == topic).ToArray()),
    ];
    private int[] _popular = [];
    private int _requests;

    /// <summary>At most <paramref name="count"/> different items that exist, were never served to the user, and are not of blocked authors.</summary>
    public List<int> Choose(LoggedUser user, int count, long nowMs)
    {
        if (_requests++ % RequestsPerRefresh == 0) _popular = FindPopular(nowMs);
        var page = new List<int>(count);
        for (int tries = 0; page.Count < count && tries < count * TriesMax; tries++)
        {
            if (Draw(user, nowMs) is not { } item || user.Blocks.Contains(world.Catalogue[item].Author) || !user.Served.Add(item)) continue;
            page.Add(item);
        }

        return page;
    }

    private int? Draw(LoggedUser user, long nowMs) => random.NextDouble() switch
    {
        < 0.25 => Followed(user, nowMs),
        < 0.45 => _popular.Length == 0 ? null : _popular[SyntheticWorld.Recent(_popular.Length, random)],
        < 0.70 => Similar(user, nowMs),
        _ => Any(world.All, nowMs),
    };

    private int? Followed(LoggedUser user, long nowMs)
    {
        if (user.Follows.Count == 0) return null;
        ReadOnlySpan<int> theirs = world.ItemsOf(user.Follows[random.Next(user.Follows.Count)]);
        int known = world.CountBefore(theirs, nowMs);
        return known == 0 ? null : theirs[known - 1 - SyntheticWorld.Recent(known, random)];
    }

    private int? Similar(LoggedUser user, long nowMs)
    {
        if (user.Clicked.Count == 0) return null;
        int like = user.Clicked[^(1 + random.Next(Math.Min(50, user.Clicked.Count)))];
        return Any(_ofTopic[world.Catalogue[like].Topic], nowMs);
    }

    private int? Any(ReadOnlySpan<int> items, long nowMs)
    {
        int known = world.CountBefore(items, nowMs);
        return known == 0 ? null : items[random.Next(known)];
    }

    // As retrieval's trending pool has it: engagement over age.
    private int[] FindPopular(long nowMs)
    {
        int known = world.CountBefore(world.All, nowMs);
        return
        [
            .. Enumerable.Range(0, known)
                .Select(item => (item, score: (0.5 + counters.EngagementAt(item, nowMs)) / (1 + (nowMs - world.Catalogue[item].CreatedAtMs) / FreshnessMs)))
                .OrderByDescending(pair => pair.score).ThenBy(pair => pair.item).Take(PopularMax).Select(pair => pair.item),
        ];
    }
}
