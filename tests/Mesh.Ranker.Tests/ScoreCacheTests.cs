using Mesh.Contracts;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Ranker.Tests;

public sealed class ScoreCacheTests : IDisposable
{
    private static readonly CandidateMoment Now = new(ScoreRequests.NowMs, 72, "home");

    private readonly FakeTimeProvider _clock = new(DateTimeOffset.FromUnixTimeMilliseconds(ScoreRequests.NowMs));
    private readonly Meters _meters = new();
    private double _draw = 1; // 1 = no request is lucky

    public void Dispose() => _meters.Dispose();

    [Fact]
    public void A_hit_is_the_very_row_that_was_computed()
    {
        ScoreCache cache = Cache();
        ScorePlan first = cache.Plan("c", Keys("a", "b"));
        float[] rows = Rows(2);
        cache.Land("c", first.Flight!, rows);

        ScorePlan second = cache.Plan("c", Keys("b", "a"));

        Assert.Equal([0, 1], first.Mine);
        Assert.Empty(second.Mine);
        Assert.Equal(rows[14..], second.Hits[0]!);
        Assert.Equal(rows[..14], second.Hits[1]!);
        Assert.Equal((2, 2), (_meters["mesh.ranker.score_cache.lookups outcome=hit"], _meters["mesh.ranker.score_cache.lookups outcome=miss"]));
    }

    [Fact]
    public void A_score_lives_for_its_age_limit_and_no_longer()
    {
        ScoreCache cache = Cache();
        cache.Land("c", cache.Plan("c", Keys("a")).Flight!, Rows(1));

        _clock.Advance(TimeSpan.FromSeconds(299));
        Assert.NotNull(cache.Plan("c", Keys("a")).Hits[0]);
        _clock.Advance(TimeSpan.FromSeconds(1));
        ScorePlan late = cache.Plan("c", Keys("a"));

        Assert.Null(late.Hits[0]);
        Assert.Equal([0], late.Mine);
        Assert.Equal(0, late.EarlyRefreshes);
    }

    [Theory]
    [InlineData(290, 1, 0.5, false)]   // a second of work, ten seconds left: 1 * ln 2 does not reach
    [InlineData(299.5, 1, 0.5, true)]  // half a second left: 0.69 does
    [InlineData(290, 1, 1e-6, true)]   // the luckiest in a million reaches 13.8 seconds
    [InlineData(290, 0, 1e-6, false)]  // what took no time is not refreshed early
    public void A_score_near_its_end_is_refreshed_by_the_lucky_the_dearer_the_earlier(double ageSeconds, double tookSeconds, double draw, bool refreshed)
    {
        ScoreCache cache = Cache();
        ScorePlan first = cache.Plan("c", Keys("a"));
        _clock.Advance(TimeSpan.FromSeconds(tookSeconds));
        cache.Land("c", first.Flight!, Rows(1));
        _clock.Advance(TimeSpan.FromSeconds(ageSeconds));

        _draw = draw;
        ScorePlan plan = cache.Plan("c", Keys("a"));

        Assert.Equal(refreshed ? 1 : 0, plan.EarlyRefreshes);
        Assert.Equal(refreshed, plan.Hits[0] is null);
        Assert.Equal(refreshed ? 1 : 0, _meters["mesh.ranker.score_cache.lookups outcome=early_refresh"]);
    }

    [Fact]
    public async Task While_one_refreshes_the_others_take_the_old_score_and_after_its_end_they_wait_for_the_new_one()
    {
        ScoreCache cache = Cache();
        ScorePlan first = cache.Plan("c", Keys("a"));
        _clock.Advance(TimeSpan.FromSeconds(1));
        float[] old = Rows(1), fresh = [.. Rows(2)[14..]];
        cache.Land("c", first.Flight!, old);
        _clock.Advance(TimeSpan.FromSeconds(299.9));
        _draw = 1e-3;
        ScorePlan refresher = cache.Plan("c", Keys("a"));

        ScorePlan meanwhile = cache.Plan("c", Keys("a"));
        _clock.Advance(TimeSpan.FromSeconds(0.2));
        ScorePlan afterEnd = cache.Plan("c", Keys("a"));
        cache.Land("c", refresher.Flight!, fresh);

        Assert.Equal(1, refresher.EarlyRefreshes);
        Assert.Equal(old, meanwhile.Hits[0]!);
        (int index, ScoreFlight flight, int row) = Assert.Single(afterEnd.Joined);
        Assert.Equal((0, 0), (index, row));
        Assert.Equal(fresh, await flight.Done);
    }

    [Fact]
    public async Task What_is_being_computed_is_waited_for_and_a_candidate_that_comes_twice_is_computed_once()
    {
        ScoreCache cache = Cache();
        ScorePlan first = cache.Plan("c", Keys("a", "b", "a"));
        ScorePlan second = cache.Plan("c", Keys("b", "x"));
        float[] rows = Rows(2);
        cache.Land("c", first.Flight!, rows);

        Assert.Equal([0, 1], first.Mine);
        Assert.Equal((2, 0), (Assert.Single(first.Joined).Index, first.Joined[0].Row));
        Assert.Equal([1], second.Mine);
        Assert.Equal((0, 1), (Assert.Single(second.Joined).Index, second.Joined[0].Row));
        Assert.Equal(rows, await second.Joined[0].Flight.Done);
    }

    [Fact]
    public async Task A_failed_flight_leaves_nothing_behind()
    {
        ScoreCache cache = Cache();
        ScorePlan first = cache.Plan("c", Keys("a")), second = cache.Plan("c", Keys("a"));
        cache.Land("c", first.Flight!, rows: null);

        Assert.Null(await Assert.Single(second.Joined).Flight.Done);
        Assert.Equal([0], cache.Plan("c", Keys("a")).Mine);
    }

    [Fact]
    public void Memory_stays_within_its_bound_and_the_least_recent_context_goes()
    {
        ScoreCache cache = Cache(mebibytes: 1);
        string[] items = [.. Enumerable.Range(0, 1_000).Select(i => $"item-{i}")];
        for (int context = 0; context < 10; context++)
        {
            cache.Land($"c{context}", cache.Plan($"c{context}", Keys(items)).Flight!, Rows(1_000));
            Assert.InRange(cache.Bytes, 1, 1024 * 1024);
        }

        Assert.Empty(cache.Plan("c9", Keys(items)).Mine);
        Assert.Equal(1_000, cache.Plan("c0", Keys(items)).Mine.Count);
    }

    [Fact]
    public void Rows_that_nobody_asks_for_again_leave_a_context_that_lives_on()
    {
        ScoreCache cache = Cache();
        cache.Land("c", cache.Plan("c", Keys([.. Enumerable.Range(0, 500).Select(i => $"old-{i}")])).Flight!, Rows(500));
        long before = cache.Bytes;

        _clock.Advance(TimeSpan.FromSeconds(301));
        cache.Land("c", cache.Plan("c", Keys("new")).Flight!, Rows(1));

        Assert.InRange(cache.Bytes, 1, before / 100);
    }

    [Fact]
    public void What_a_candidate_is_names_its_score_and_how_it_does_does_not()
    {
        Candidate candidate = ScoreRequests.Candidate(new Random(1), "a");
        ScoreKey key = ScoreKey.Of(candidate, Now);
        Candidate counted = candidate.Clone();
        counted.Counters.Counts[0] += 5;

        Assert.Equal(key, ScoreKey.Of(counted, Now));
        Assert.NotEqual(key, ScoreKey.Of(With(copy => copy.AuthorId = "another"), Now));
        Assert.NotEqual(key, ScoreKey.Of(With(copy => copy.Codes.Add(7)), Now));
        Assert.NotEqual(key, ScoreKey.Of(With(copy => copy.InNetwork = !copy.InNetwork), Now));
        Assert.NotEqual(key, ScoreKey.Of(With(copy => copy.DurationMs++), Now));
        Assert.NotEqual(key, ScoreKey.Of(With(copy => copy.CreatedAtMs -= 400L * 24 * 3_600_000), Now));
        Assert.NotEqual(key, ScoreKey.Of(candidate, Now with { Surface = "search" }));

        Candidate With(Action<Candidate> change)
        {
            Candidate copy = candidate.Clone();
            change(copy);
            return copy;
        }
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(-299, true)]
    [InlineData(-301, false)]
    [InlineData(3_000, false)]
    public void A_request_as_of_another_time_neither_gets_nor_leaves_scores(int secondsFromNow, bool takes)
    {
        Assert.Equal(takes, Cache().Takes(ScoreRequests.NowMs + (secondsFromNow * 1_000L)));
    }

    private ScoreCache Cache(int mebibytes = 64) =>
        new(new TransformerOptions { ScoreCacheMebibytesMax = mebibytes }, _clock, () => _draw, _meters.Metrics);

    private static ScoreKey[] Keys(params string[] items) => [.. items.Select(item => ScoreKey.Of(new Candidate { ItemId = item }, Now))];

    private static float[] Rows(int count) => [.. Enumerable.Range(0, count * 14).Select(i => i / (count * 14f))];
}
