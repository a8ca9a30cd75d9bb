using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;
using Mesh.Contracts;
using Xunit.Abstractions;

namespace Mesh.IndexUpdater.Tests;

/// <summary>Tests that measure the whole process: no other runs beside them.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public sealed class CatalogueMemoryTests(ITestOutputHelper output)
{
    // docs/index-updater.md names the figure and plans memory by it.
    [Fact]
    public void A_row_with_a_hundred_characters_of_text_and_counters_takes_under_two_kilobytes()
    {
        const int rows = 20_000;
        long before = GC.GetTotalMemory(forceFullCollection: true);
        var catalogue = new ShardCatalogue();
        var model = new ItemModel(new HashingItemEncoder());
        for (int start = 0; start < rows; start += 1_000)
        {
            var turn = new CatalogueTurn(catalogue, new DedupeWindow(), 0, new TurnSettings(model, 1_000, 0, ShardRig.EpochMs));
            for (int i = start; i < start + 1_000; i++)
            {
                var item = new Item { ItemId = $"item-{i}", AuthorId = $"author-{i % 100}", Text = $"{i} {new string('x', 94)}", Tags = { $"tag-{i % 9}" }, Language = new string("en") };
                turn.Upsert(item, model.Encode([item])[0], new Stamp(ShardRig.EpochMs, (ulong)i));
                turn.Count(new Contracts.Storage.CounterEvent { Event = (ulong)i, TimeMs = ShardRig.EpochMs, ItemIds = { $"item-{i}" } });
            }

            turn.Commit();
        }

        long perRow = (GC.GetTotalMemory(forceFullCollection: true) - before) / rows;
        GC.KeepAlive(catalogue);
        output.WriteLine($"{perRow} bytes per row");

        Assert.InRange(perRow, 700, 2_000);
    }
}
