using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>
/// Searches with filters while the writer changes what they ask about. Every item is at every moment either red or blue, and has
/// tag one or tag two; it changes both together, in place or with its vector. A search must find all of them by what always holds,
/// and none by what never does.
/// </summary>
[Collection(nameof(Alone))]
public sealed class ClusteredStressTests
{
    private const int Items = 300;
    private const int Writes = 6_000;

    [Theory, InlineData(IndexShapes.Exact), InlineData(IndexShapes.Probing), InlineData(IndexShapes.Shared)]
    public async Task Readers_find_every_row_by_what_always_holds_while_its_values_and_vectors_change(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        ulong sequence = 0;
        var random = new Random(23);
        for (int i = 0; i < Items; i++) index.Apply(Make.Upsert(++sequence, Stamped(i, random)), out _);
        using var stop = new CancellationTokenSource();
        Task<long>[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() => ReadUntil(index, stop.Token)))];

        for (int i = 0; i < Writes && !readers.Any(reader => reader.IsCompleted); i++)
        {
            ItemRow row = Stamped(random.Next(Items), random);
            if (random.Next(2) == 0 && index.Find(row.Item.ItemId) is { } state) row.Embedding = Make.Bytes(index.VectorOf(state).ToArray()); // in place
            index.Apply(Make.Upsert(++sequence, row), out _);
            if (index.WantsCompaction(0.6)) Assert.Equal(Items, Make.Compact(index).Items);
        }

        await stop.CancelAsync();
        long searches = (await Task.WhenAll(readers)).Sum();
        Assert.True(searches > 10, $"only {searches} searches");
    }

    private static long ReadUntil(LiveIndex index, CancellationToken stop)
    {
        // What always holds, of frequent values, of rare ones, and with NOT. The last must find nobody.
        RowFilter[] always =
        [
            Catalogue.Filter("attribute.colour:red OR attribute.colour:blue"),
            Catalogue.Filter("NOT (attribute.colour:red AND attribute.colour:blue) AND NOT tag:nowhere"),
            Catalogue.Filter("(attribute.colour:red AND tag:one) OR (NOT attribute.colour:red AND tag:two)"),
            Catalogue.Filter("NOT (NOT attribute.colour:red AND NOT attribute.colour:blue)"),
            Catalogue.Filter("safety:odd OR safety:EVEN"),
            RowFilter.Visible,
        ];
        RowFilter never = Catalogue.Filter("attribute.colour:red AND (tag:two OR NOT tag:one)");
        var query = new QueryVectors([0.5f, 0.5f, -0.5f, 0.5f, -0.5f, 0.5f, 0.5f, 0.5f], 4);
        long searches = 0;
        while (!stop.IsCancellationRequested || searches < 20)
        {
            foreach (RowFilter filter in always)
            {
                List<RowHit> hits = index.Vectors.Search(query, 3 * Items, filter, CancellationToken.None);
                HashSet<string> found = [.. hits.Select(hit => hit.State.Facts.ItemId)];
                if (found.Count != Items || hits.Count != Items) Assert.Fail($"Filter {Array.IndexOf(always, filter)} found {found.Count} of {Items} items in {hits.Count} hits.");
                foreach (RowHit hit in hits) Check(index, hit);
            }

            Assert.Empty(index.Vectors.Search(query, Items, never, CancellationToken.None));
            searches++;
        }

        return searches;
    }

    // Facts, eligibility and vector are of one stamp, and the score is that vector's.
    private static void Check(LiveIndex index, RowHit hit)
    {
        bool isRed = hit.State.Facts.Attributes[0].Value == "red";
        if (hit.State.Facts.Tags[0] != (isRed ? "one" : "two") || hit.State.Eligibility.Safety != (isRed ? "odd" : "even"))
        {
            Assert.Fail($"Torn row {hit.State.Facts.ItemId}: tag {hit.State.Facts.Tags[0]}, safety {hit.State.Eligibility.Safety}.");
        }

        float sum = 0;
        foreach (float component in index.VectorOf(hit.State)) sum += component * component;
        Assert.InRange(sum, 0.999f, 1.001f);
        Assert.InRange(hit.Score, -1.001, 1.001);
    }

    private static ItemRow Stamped(int item, Random random)
    {
        bool isRed = random.Next(2) == 0;
        ItemRow row = Make.Row(
            $"item-{item}", $"author-{random.Next(90)}", Make.RandomVector(random), codes: random.Next(5) == 0 ? [] : [(uint)random.Next(6), 1, 2],
            tags: [isRed ? "one" : "two", $"rare-{random.Next(10_000)}"], eligibility: new Eligibility { Safety = isRed ? "odd" : "even" });
        row.Item.Attributes["colour"] = isRed ? "red" : "blue";
        return row;
    }
}
