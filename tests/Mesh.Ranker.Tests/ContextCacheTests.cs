using Google.Protobuf.Reflection;
using Mesh.Contracts;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker.Tests;

public sealed class ContextCacheTests : IDisposable
{
    private readonly Meters _meters = new();

    public void Dispose() => _meters.Dispose();

    [Fact]
    public void A_context_is_named_by_user_versions_and_content()
    {
        Sequence sequence = ScoreRequests.Request(seed: 1, 0).Sequence, other = sequence.Clone();
        other.TimesMs[3]++;
        HistoryItem[] history = [new HistoryItem { ItemId = "a", Codes = { 1, 2 } }], recoded = [new HistoryItem { ItemId = "a", Codes = { 1, 3 } }];
        string[] ids =
        [
            ContextId.Of("u", 0, "m", sequence, history),
            ContextId.Of("u", 0, "m", other, history),       // anonymous users all have version 0
            ContextId.Of("u", 0, "m", sequence, recoded),    // codes change under one sequence version
            ContextId.Of("u", 0, "m", sequence, []),
            ContextId.Of("u", 1, "m", sequence, history),
            ContextId.Of("u", 0, "m2", sequence, history),
            ContextId.Of("um", 0, "", sequence, history),
            ContextId.Of("u", 0, "m", null, history),
            ContextId.Of("u", 0, "m", new Sequence(), history),
        ];

        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.All(ids, id => Assert.Equal(ContextId.Length, id.Length));
        Assert.Equal(ids[0], ContextId.Of("u", 0, "m", sequence.Clone(), [history[0].Clone()]));
    }

    [Fact]
    public void All_that_is_known_of_the_history_is_in_the_name_but_its_similarity()
    {
        var item = new HistoryItem { ItemId = "a", AuthorId = "x", Codes = { 1 }, Tags = { "t" }, Similarity = 0.5f };
        string expected = Named(item);
        string[] changed = [.. HistoryItem.Descriptor.Fields.InDeclarationOrder().Where(field => Named(Without(field)) != expected).Select(field => field.Name)];

        Assert.Equal(["item_id", "author_id", "codes", "tags"], changed);

        static string Named(HistoryItem item) => ContextId.Of("u", 1, "m", null, [item]);

        HistoryItem Without(FieldDescriptor field)
        {
            HistoryItem copy = item.Clone();
            field.Accessor.Clear(copy);
            return copy;
        }
    }

    [Fact]
    public async Task Who_comes_while_a_context_is_made_waits_for_it()
    {
        var cache = new ContextCache(10, long.MaxValue, _meters.Metrics);
        var made = new TaskCompletionSource<ContextState>();
        int makings = 0;

        (ContextEntry first, bool firstHeld) = cache.GetOrAdd("a", () => Entry("a", made.Task, ref makings));
        (ContextEntry second, bool secondHeld) = cache.GetOrAdd("a", () => Entry("a", made.Task, ref makings));
        made.SetResult(new SizedState(5));

        Assert.Equal((false, true, 1), (firstHeld, secondHeld, makings));
        Assert.Same(first, second);
        Assert.Same(await first.State, await second.State);
        Assert.Equal(1, _meters["mesh.ranker.context.lookups outcome=joined"]);
    }

    [Fact]
    public async Task What_is_asked_for_by_its_name_is_counted_as_what_is_asked_for_by_its_content()
    {
        var cache = new ContextCache(10, long.MaxValue, _meters.Metrics);
        var made = new TaskCompletionSource<ContextState>();
        int makings = 0;
        (ContextEntry entry, _) = cache.GetOrAdd("a", () => Entry("a", made.Task, ref makings));

        cache.Find("a", "u");
        made.SetResult(new SizedState(5));
        await entry.State;
        cache.Find("a", "u");
        cache.Find("a", "somebody-else");

        Assert.Equal((1, 1), (_meters["mesh.ranker.context.lookups outcome=joined"], _meters["mesh.ranker.context.lookups outcome=hit"]));
    }

    [Fact]
    public void An_encoding_that_is_turned_away_drives_no_context_out()
    {
        var cache = new ContextCache(1, long.MaxValue, _meters.Metrics);
        Add(cache, "good", 1);
        int makings = 0;

        (ContextEntry turnedAway, bool held) = cache.GetOrAdd("a", () => Entry("a", Task.FromException<ContextState>(new InvalidOperationException()), ref makings));

        Assert.Equal((true, false), (turnedAway.State.IsFaulted, held));
        Assert.NotNull(cache.Find("good", "u"));
    }

    [Fact]
    public void A_failed_encoding_is_forgotten()
    {
        var cache = new ContextCache(10, long.MaxValue, _meters.Metrics);
        int makings = 0;

        cache.GetOrAdd("a", () => Entry("a", Task.FromException<ContextState>(new InvalidOperationException()), ref makings));

        Assert.Null(cache.Find("a", "u"));
        Assert.Equal((0, 0L), (cache.Count, cache.Bytes));
    }

    [Fact]
    public void The_least_recently_used_goes_first_by_count()
    {
        var cache = new ContextCache(2, long.MaxValue, _meters.Metrics);
        Add(cache, "a", 1);
        Add(cache, "b", 1);
        cache.Find("a", "u");

        Add(cache, "c", 1);

        Assert.Null(cache.Find("b", "u"));
        Assert.NotNull(cache.Find("a", "u"));
        Assert.NotNull(cache.Find("c", "u"));
    }

    [Fact]
    public void Bytes_stay_within_their_bound_and_fall_to_zero_with_the_last()
    {
        var cache = new ContextCache(1_000, 100_000, _meters.Metrics);
        for (int i = 0; i < 50; i++)
        {
            Add(cache, $"c{i}", 9_000);
            Assert.InRange(cache.Bytes, 1, 100_000);
        }

        Add(cache, "huge", 1_000_000);

        Assert.Equal((0, 0L), (cache.Count, cache.Bytes));
    }

    [Fact]
    public void A_context_is_its_users_only()
    {
        var cache = new ContextCache(10, long.MaxValue, _meters.Metrics);
        Add(cache, "a", 1);

        Assert.Null(cache.Find("a", "somebody-else"));
        Assert.NotNull(cache.Find("a", "u"));
    }

    private static void Add(ContextCache cache, string id, long bytes)
    {
        int makings = 0;
        cache.GetOrAdd(id, () => Entry(id, Task.FromResult<ContextState>(new SizedState(bytes)), ref makings));
    }

    private static ContextEntry Entry(string id, Task<ContextState> state, ref int makings)
    {
        makings++;
        return new ContextEntry(id, "u", "m", new Sequence(), [], state, new Waiters());
    }

    private sealed class SizedState(long bytes) : ContextState
    {
        public override long Bytes => bytes;
    }
}
