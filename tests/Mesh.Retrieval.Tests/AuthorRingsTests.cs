using Mesh.Contracts;
using Mesh.Retrieval.Index;

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
        LiveIndex index = Make.Index(new RetrievalOptions { AuthorsMax = 2 });
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

    private static IEnumerable<string> Items(LiveIndex index, string author) =>
        index.Authors.Read(author, Make.Now + 5_000).Select(entry => entry.Row.State!.Facts.ItemId);
}
