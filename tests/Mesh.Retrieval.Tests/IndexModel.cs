using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>The index as a plain dictionary of rows: slow, obvious, and what the real one must agree with.</summary>
internal sealed class IndexModel
{
    public SortedDictionary<string, ItemRow> Rows { get; } = new(StringComparer.Ordinal);

    public void Apply(IndexDelta delta)
    {
        switch (delta.DeltaCase)
        {
            case IndexDelta.DeltaOneofCase.Upserted:
                Rows[delta.Upserted.Item.ItemId] = delta.Upserted.Clone();
                break;
            case IndexDelta.DeltaOneofCase.DeletedItemId:
                Rows.Remove(delta.DeletedItemId);
                break;
            case IndexDelta.DeltaOneofCase.Engagement when Rows.TryGetValue(delta.Engagement.ItemId, out ItemRow? row):
                row.Counters = delta.Engagement.Counters;
                row.Version = delta.Sequence;
                break;
            case IndexDelta.DeltaOneofCase.Eligibility when Rows.TryGetValue(delta.Eligibility.ItemId, out ItemRow? row):
                row.Eligibility = delta.Eligibility.Eligibility;
                row.Version = delta.Sequence;
                break;
        }
    }

    /// <summary>A seeded history of changes over few items, authors and codes, so that they meet often.</summary>
    public static List<IndexDelta> RandomDeltas(int seed, int count, int items = 40)
    {
        var random = new Random(seed);
        var deltas = new List<IndexDelta>();
        for (ulong sequence = 1; sequence <= (ulong)count; sequence++)
        {
            string id = $"item-{random.Next(items)}";
            deltas.Add(random.Next(10) switch
            {
                0 => Make.Delete(sequence, id),
                1 or 2 => Make.Engage(sequence, id, random.Next(100), random.Next(3)),
                3 => Make.Restrict(sequence, id, new Eligibility { Hidden = random.Next(2) == 0, Languages = { random.Next(2) == 0 ? [] : ["en"] } }),
                _ => Make.Upsert(sequence, RandomRow(random, id)),
            });
        }

        return deltas;
    }

    public static ItemRow RandomRow(Random random, string id)
    {
        ItemRow row = Make.Row(
            id, $"author-{random.Next(6)}", Make.RandomVector(random), createdAtMs: Make.Now - random.Next(1_000_000),
            codes: random.Next(4) == 0 ? [] : [(uint)random.Next(3), (uint)random.Next(3), (uint)random.Next(3)],
            tags: [.. Enumerable.Range(0, random.Next(4)).Select(_ => $"tag-{random.Next(5)}")],
            likes: random.Next(50), text: $"text {random.Next()}", language: random.Next(2) == 0 ? "en" : "de");
        row.Item.Attributes["colour"] = random.Next(2) == 0 ? "red" : "blue";
        return row;
    }

    /// <summary>Everything a reader can find, by every way there is to find it.</summary>
    public void AssertSame(LiveIndex index)
    {
        Assert.Equal(Rows.Count, index.Items);
        Assert.Equal(Rows.Keys, index.Vectors.Live().Select(live => live.State.Facts.ItemId).Order(StringComparer.Ordinal));
        foreach ((string id, ItemRow row) in Rows) AssertSame(row, index, Assert.IsType<RowState>(index.Find(id)));
        AssertAuthors(index);
        AssertPrefixes(index);
        AssertSearch(index);
    }

    private static void AssertSame(ItemRow row, LiveIndex index, RowState state)
    {
        Assert.Equal(row.Version, state.Version);
        Assert.Equal(row.Counters, state.Counters);
        Assert.Equal(row.Eligibility, state.Eligibility);
        Assert.Equal(row.Item.AuthorId, state.Facts.AuthorId);
        Assert.Equal(row.Item.Text, state.Facts.Text);
        Assert.Equal(row.Item.Tags, state.Facts.Tags);
        Assert.Equal(row.Codes, state.Facts.Codes);
        Assert.Equal(row.Item.CreatedAtMs, state.Facts.CreatedAtMs);
        Assert.Equal(row.Item.Attributes, state.Facts.Attributes);
        Assert.Equal(Vector(row), index.VectorOf(state).ToArray());
    }

    private void AssertAuthors(LiveIndex index)
    {
        foreach (string author in Rows.Values.Select(row => row.Item.AuthorId).Distinct())
        {
            RingEntry[] ring = [.. index.Authors.Read(author, Make.Now).Where(entry => entry.Row.State?.Facts.AuthorId == author)]; // without tombstones
            Assert.Equal(
                Rows.Values.Where(row => row.Item.AuthorId == author).Select(row => row.Item.ItemId).Order(StringComparer.Ordinal),
                ring.Select(entry => entry.Row.State!.Facts.ItemId).Order(StringComparer.Ordinal));
            Assert.Equal(ring.Select(entry => entry.CreatedAtMs).OrderDescending(), ring.Select(entry => entry.CreatedAtMs));
        }

        Assert.Equal(Rows.Values.Select(row => row.Item.AuthorId).Distinct().Count(), index.Authors.Authors);
    }

    // Each code path that a row has: the rows under it, and what the writer counted there.
    private void AssertPrefixes(LiveIndex index)
    {
        ItemRow[] coded = [.. Rows.Values.Where(row => row.Codes.Count > 0)];
        Assert.Equal(coded.Length, index.Prefixes.Root.Live);
        foreach (uint[] path in coded.SelectMany(row => Enumerable.Range(0, row.Codes.Count + 1).Select(depth => row.Codes.Take(depth).ToArray())).DistinctBy(path => string.Join(' ', path)))
        {
            ItemRow[] expected = [.. coded.Where(row => row.Codes.Take(path.Length).SequenceEqual(path))];
            Assert.Equal(
                expected.Select(row => row.Item.ItemId).Order(StringComparer.Ordinal),
                Make.Under(index.Prefixes, path).Select(state => state.Facts.ItemId).Order(StringComparer.Ordinal));
            if (NodeOf(index.Prefixes, path) is not { } node) continue;
            Assert.Equal(expected.Length, node.Live);
            double engagement = expected.Sum(row => index.Find(row.Item.ItemId)!.EngagementAt(Make.Now, index.HalfLifeMs));
            Assert.Equal(Math.Max(0, engagement), node.EngagementAt(Make.Now, index.HalfLifeMs), 1e-6 * (1 + Math.Abs(engagement)));
        }
    }

    private static PrefixNode? NodeOf(PrefixTree tree, uint[] path)
    {
        PrefixNode node = tree.Root;
        foreach (uint code in path)
        {
            if (!node.TryGetChild(code, out PrefixNode? child)) return null;
            node = child;
        }

        return node;
    }

    private void AssertSearch(LiveIndex index)
    {
        float[] query = Make.Unit([0.3f, -0.2f, 0.9f, 0.1f]);
        var queries = new QueryVectors(query, query.Length);
        IEnumerable<string> expected = Rows.Values.Where(row => !row.Eligibility.Hidden)
            .OrderByDescending(row => queries.Similarity(Vector(row))).ThenByDescending(row => row.Item.CreatedAtMs)
            .ThenBy(row => row.Item.ItemId, StringComparer.Ordinal).Take(10).Select(row => row.Item.ItemId);
        Assert.Equal(expected, index.Vectors.Search(queries, 10, RowFilter.Visible, CancellationToken.None).Select(hit => hit.State.Facts.ItemId));
    }

    private static float[] Vector(ItemRow row) => MemoryMarshal.Cast<byte, float>(row.Embedding.Span).ToArray();
}
