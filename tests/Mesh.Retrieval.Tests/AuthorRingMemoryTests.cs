using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

[Collection(nameof(Alone))]
public sealed class AuthorRingMemoryTests
{
    private static readonly RingLimits Wide = new(AuthorsMax: 1_000_000, ItemsMax: 256, BytesMax: long.MaxValue, RetentionMs: 0, RestoreIntervalMs: 0);

    [Fact]
    public void Bytes_of_rings_agree_with_the_garbage_collector()
    {
        // What other tests hold comes and goes during a measurement: of five the least disturbed counts.
        Row[] rows = [.. Enumerable.Range(0, 60_000).Select(i => RowOf($"item-{i}", $"author-{i % 4_000}", i))];
        (long counted, long measured) = Enumerable.Range(0, 5).Select(_ => Measure(rows)).MinBy(pair => Math.Abs(pair.Counted - pair.Measured));

        Assert.InRange(counted / (double)measured, 0.85, 1.15);
    }

    [Fact]
    public void Bytes_are_those_of_the_rings_there_are_after_any_history()
    {
        var random = new Random(2);
        var rings = new AuthorRings(Wide with { AuthorsMax = 40, ItemsMax = 12, BytesMax = 9_000, RetentionMs = 500 });
        var rows = new Dictionary<string, Row>();
        for (int now = 0; now < 20_000; now++)
        {
            string id = $"item-{random.Next(400)}", author = $"author-{random.Next(60)}";
            if (random.Next(3) == 0 && rows.Remove(id, out Row? gone))
            {
                string of = gone.State!.Facts.AuthorId;
                gone.State = null;
                rings.Remove(of, now);
            }
            else if (!rows.ContainsKey(id))
            {
                rows[id] = RowOf(id, author, now - random.Next(600));
                rings.Add(author, new RingEntry(rows[id].State!.Facts.CreatedAtMs, rows[id]), now);
            }

            if (random.Next(50) == 0) rings.Read(author, now);
            if (random.Next(500) == 0) rings.Restore(rows.Select(pair => pair), now);
            Assert.InRange(rings.Bytes - (100 * rings.Evicted), 0, 9_000);
            Assert.InRange(rings.Authors, 0, 40);
        }

        RingEntry[][] held = [.. Enumerable.Range(0, 60).Select(i => rings.Read($"author-{i}", 20_000)).Where(ring => ring.Length > 0)];
        Assert.Equal(held.Length, rings.Authors);
        Assert.Equal(held.Sum(ring => AuthorRings.RingBytes(ring.Length)), rings.Bytes - (100 * rings.Evicted));
    }

    [Fact]
    public void Past_the_budget_of_bytes_the_rings_read_least_recently_go_whatever_their_size()
    {
        var rings = new AuthorRings(Wide with { BytesMax = 100 * AuthorRings.RingBytes(10) });
        var rows = new Dictionary<string, Row>();
        for (int i = 0; i < 1_000; i++)
        {
            rows[$"item-{i}"] = RowOf($"item-{i}", $"author-{i / 10}", i);
            rings.Add($"author-{i / 10}", new RingEntry(i, rows[$"item-{i}"]), 0);
        }

        Assert.Equal(100, rings.Authors);
        for (int author = 0; author < 100; author++) rings.Read($"author-{author}", 1_000 - author);
        Row one = rows["more"] = RowOf("more", "another", 5_000);
        rings.Add("another", new RingEntry(5_000, one), 2_000);

        Assert.Empty(rings.Read("author-99", 3_000));
        Assert.Empty(rings.Read("author-98", 3_000));
        Assert.Equal(10, rings.Read("author-97", 3_000).Length);
        Assert.Single(rings.Read("another", 3_000));

        Assert.Equal(2, rings.Restore(rows, 3_000));
        Assert.Equal(10, rings.Read("author-99", 3_000).Length);
    }

    [Fact]
    public void Tombstones_never_make_up_more_than_a_quarter_of_a_ring()
    {
        var rings = new AuthorRings(Wide);
        Row[] rows = [.. Enumerable.Range(0, 200).Select(i => RowOf($"item-{i}", "ann", i))];
        foreach (Row row in rows) rings.Add("ann", new RingEntry(row.State!.Facts.CreatedAtMs, row), 0);
        int dead = 0, most = 0;
        foreach (Row row in rows)
        {
            row.State = null;
            rings.Remove("ann", 0);
            dead = rings.Read("ann", 0).Count(entry => entry.Row.State is null);
            most = Math.Max(most, dead);
            Assert.True(4 * dead <= rings.Read("ann", 0).Length, $"{dead} of {rings.Read("ann", 0).Length}");
        }

        Assert.InRange(most, 10, 50); // not copied for each
        Assert.Equal((0, 0L), (rings.Authors, rings.Bytes));
    }

    [Fact]
    public void What_is_past_retention_leaves_the_rings_and_comes_back_by_no_way()
    {
        var rings = new AuthorRings(Wide with { ItemsMax = 3, RetentionMs = Make.Hour });
        Dictionary<string, Row> rows = Enumerable.Range(0, 3).ToDictionary(i => $"item-{i}", i => RowOf($"item-{i}", "ann", Make.Now + (i * 1_000)));
        foreach (Row row in rows.Values) rings.Add("ann", new RingEntry(row.State!.Facts.CreatedAtMs, row), Make.Now);
        rings.Add("bob", new RingEntry(Make.Now - (2 * Make.Hour), RowOf("old", "bob", Make.Now - (2 * Make.Hour))), Make.Now);
        Assert.Equal(1, rings.Authors);

        long later = Make.Now + Make.Hour + 500;
        rings.Sweep(later);
        Assert.Equal(2, rings.Read("ann", later).Length);
        Assert.False(rings.HasWanted); // nothing of that author is missing, though the ring was full

        rings.Sweep(later + Make.Hour);
        Assert.Equal((0, 0L), (rings.Authors, rings.Bytes));
        rings.Fill(rows.Values, later + Make.Hour);
        Assert.Equal(0, rings.Authors);
    }

    private static (long Counted, long Measured) Measure(Row[] rows)
    {
        long before = GC.GetTotalMemory(forceFullCollection: true);
        var rings = new AuthorRings(Wide);
        foreach (Row row in rows) rings.Add(row.State!.Facts.AuthorId, new RingEntry(row.State.Facts.CreatedAtMs, row), 0);
        long measured = GC.GetTotalMemory(forceFullCollection: true) - before;
        GC.KeepAlive(rows);
        return (rings.Bytes, measured);
    }

    private static Row RowOf(string id, string author, long createdAtMs) => new()
    {
        State = new RowState(new ItemFacts(new Item { ItemId = id, AuthorId = author, CreatedAtMs = createdAtMs }, []), new Counters(), new Eligibility(), 1ul, 0),
    };
}
