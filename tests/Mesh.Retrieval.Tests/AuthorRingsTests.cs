using Mesh.Contracts;
using Mesh.Retrieval.Index;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Retrieval.Tests;

public sealed class AuthorRingsTests
{
    [Fact]
    public void A_ring_keeps_the_newest_items_whatever_the_order_they_came_in()
    {
        LiveIndex index = Make.Index(new RetrievalOptions { RingItemsMax = 50 });
        long[] times = [.. Enumerable.Range(0, 200).Select(i => (long)i)];
        new Random(1).Shuffle(times);
        ulong sequence = 0;
        foreach (long time in times) index.Apply(Make.Upsert(++sequence, Make.Row($"item-{time}", createdAtMs: time)), out _);

        Assert.Equal(Enumerable.Range(150, 50).Reverse().Select(i => (long)i), index.Authors.Read("author", Make.Now).Select(entry => entry.CreatedAtMs));
    }

    [Fact]
    public void Past_the_limit_the_least_recently_read_authors_go_and_come_back_when_read_again()
    {
        LiveIndex index = Make.Index(new RetrievalOptions { AuthorsMax = 10 });
        for (int i = 0; i < 10; i++) index.Apply(Make.Upsert((ulong)i + 1, Make.Row($"item-{i}", $"author-{i}")), out _);
        for (int i = 0; i < 10; i++)
        {
            if (i != 3) index.Authors.Read($"author-{i}", Make.Now + 1_000 + i);
        }

        index.Apply(Make.Upsert(11, Make.Row("item-10", "author-10")), out _);

        Assert.Equal(10, index.Authors.Authors);
        Assert.Empty(index.Authors.Read("author-3", Make.Now + 2_000));
        Assert.Single(index.Authors.Read("author-0", Make.Now + 2_000));
        Assert.Equal(1, index.RestoreAuthors());
        Assert.Equal("item-3", Assert.Single(index.Authors.Read("author-3", Make.Now + 3_000)).Row.State!.Facts.ItemId);
        Assert.Equal(10, index.Authors.Authors);
    }

    [Fact]
    public void An_evicted_author_who_posts_again_gets_the_older_items_back_too()
    {
        LiveIndex index = Make.Index(new RetrievalOptions { AuthorsMax = 1 });
        index.Apply(Make.Upsert(1, Make.Row("old", "ann", createdAtMs: 1)), out _);
        index.Apply(Make.Upsert(2, Make.Row("other", "bob")), out _);
        index.Apply(Make.Upsert(3, Make.Row("new", "ann", createdAtMs: 2)), out _);

        Assert.Equal(["new"], Items(index, "ann"));
        index.RestoreAuthors();

        Assert.Equal(["new", "old"], Items(index, "ann"));
    }

    [Fact]
    public void An_author_evicted_while_others_are_rebuilt_comes_back_when_read_again()
    {
        string[] authors = ["ann", "bob", "cid", "dan"];
        LiveIndex index = Make.Index(new RetrievalOptions { AuthorsMax = 2, RingRestoreIntervalMs = 0 });
        for (int i = 0; i < authors.Length; i++) index.Apply(Make.Upsert((ulong)i + 1, Make.Row($"item-{i}", authors[i])), out _);

        // One reader follows more authors than there is room for: rebuilding one evicts another that was asked for too.
        foreach (string author in authors) index.Authors.Read(author, Make.Now);
        index.RestoreAuthors();

        foreach (string author in authors)
        {
            index.Authors.Read(author, Make.Now + 1);
            index.RestoreAuthors();
            Assert.Single(index.Authors.Read(author, Make.Now + 2));
        }
    }

    [Fact]
    public void A_full_ring_that_loses_an_item_is_refilled_from_the_rows()
    {
        LiveIndex index = Make.Index(new RetrievalOptions { RingItemsMax = 2 });
        for (int i = 1; i <= 3; i++) index.Apply(Make.Upsert((ulong)i, Make.Row($"item-{i}", "ann", createdAtMs: i)), out _);
        index.Apply(Make.Delete(4, "item-3"), out _);

        Assert.Equal(["item-2"], Items(index, "ann"));
        index.RestoreAuthors();

        Assert.Equal(["item-2", "item-1"], Items(index, "ann"));
    }

    [Fact]
    public void An_item_that_changes_its_author_or_its_time_moves()
    {
        LiveIndex index = Make.Index(Make.Row("a", "ann", createdAtMs: 5), Make.Row("b", "ann", createdAtMs: 4));

        index.Apply(Make.Upsert(3, Make.Row("a", "ann", createdAtMs: 3)), out _);
        Assert.Equal(["b", "a"], Items(index, "ann"));

        index.Apply(Make.Upsert(4, Make.Row("a", "bob", createdAtMs: 3)), out _);
        Assert.Equal(["b"], Items(index, "ann"));
        Assert.Equal(["a"], Items(index, "bob"));
    }

    [Fact]
    public void Passes_over_all_rows_keep_their_distance_and_bring_all_back_that_were_asked_for()
    {
        FakeTimeProvider clock = Make.Clock();
        LiveIndex index = Make.Index(new RetrievalOptions { AuthorsMax = 100, RingItemsMax = 2, RingRestoreIntervalMs = 1_000 }, clock);
        for (int i = 0; i < 300; i++) index.Apply(Make.Upsert((ulong)i + 1, Make.Row($"item-{i}", $"author-{i % 100}", createdAtMs: i)), out _);
        for (int i = 200; i < 230; i++) index.Apply(Make.Delete((ulong)i + 200, $"item-{i}"), out _);
        foreach (int author in Enumerable.Range(0, 20)) index.Authors.Read($"author-{author}", Make.Now);
        Assert.Equal(20, index.RestoreAuthors());

        foreach (int author in Enumerable.Range(20, 10)) index.Authors.Read($"author-{author}", Make.Now);
        Assert.Equal(0, index.RestoreAuthors());
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(10, index.RestoreAuthors());
        Assert.Equal(["item-129", "item-29"], Items(index, "author-29"));
    }

    [Fact]
    public void A_pass_that_yields_ends_with_all_that_was_filed_deleted_and_moved_meanwhile()
    {
        const int Count = (2 * AuthorRings.YieldRows) + 500;
        LiveIndex index = Make.Index(new RetrievalOptions { AuthorsMax = 2, RingRestoreIntervalMs = 0, Index = IndexKind.Flat });
        ulong sequence = 0;
        for (int i = 0; i < Count; i++) index.Apply(Make.Upsert(++sequence, Make.Row($"item-{i}", i % 500 == 0 ? "ann" : "bob", createdAtMs: i)), out _);
        index.Authors.Read("bob", Make.Now + 1);
        index.Apply(Make.Upsert(++sequence, Make.Row("one", "cid")), out _);
        index.Apply(Make.Upsert(++sequence, Make.Row("two", "dan")), out _);
        Assert.Empty(index.Authors.Read("ann", Make.Now));

        Assert.Equal(0, index.RestoreAuthors(() => true));
        index.Apply(Make.Upsert(++sequence, Make.Row("newest", "ann", createdAtMs: Count)), out _);
        index.Apply(Make.Delete(++sequence, "item-500"), out _);
        index.Apply(Make.Upsert(++sequence, Make.Row("item-1000", "bob", createdAtMs: 1_000)), out _);
        index.Apply(Make.Upsert(++sequence, Make.Row("item-1", "ann", createdAtMs: 1)), out _);
        Assert.Equal(0, index.RestoreAuthors(() => true));
        Assert.Equal(1, index.RestoreAuthors(() => false));

        IEnumerable<string> expected = ["newest", .. Enumerable.Range(0, (Count + 499) / 500).Select(i => 500 * i).Where(i => i is not (0 or 500 or 1_000)).Reverse().Select(i => $"item-{i}"), "item-1", "item-0"];
        Assert.Equal(expected, Items(index, "ann"));
        Assert.False(index.Authors.HasWanted);
    }

    private static IEnumerable<string> Items(LiveIndex index, string author) =>
        index.Authors.Read(author, Make.Now + 5_000).Select(entry => entry.Row.State!.Facts.ItemId);
}
