using System.Globalization;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Retrieval;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Benchmarks;

/// <summary>
/// Readers without locks against one writer that changes rows as fast as it can, in place and with vectors, deletes and brings back, and
/// compacts beside itself. Every row carries a checksum over text, tags, codes, attributes, eligibility and vector; counters carry their
/// own, as engagements change them alone. A reader that finds a row whose sum is wrong, or that its filter does not admit, ends the benchmark with an error.
/// </summary>
internal static class StressRows
{
    private const int Items = 20_000, Dimensions = 16;

    public static async Task RunAsync(TimeSpan duration, BenchmarkOptions options, Figures figures, CancellationToken cancellation)
    {
        var limits = IndexLimits.From(new RetrievalOptions { ItemsMax = 4 * Items, ExactRowsMax = 2_000 });
        var index = new LiveIndex(IndexOrigin.None(72), limits, TimeProvider.System);
        ulong sequence = 0;
        for (int i = 0; i < Items; i++) index.Apply(Upsert(++sequence, i), out _);

        var holder = new IndexHolder { Current = index };
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        stop.CancelAfter(duration);
        Task<(long Searches, long Rows)>[] readers =
            [.. Enumerable.Range(0, Math.Max(2, Environment.ProcessorCount)).Select(reader => Task.Run(() => Read(holder, new Random(reader), stop.Token), CancellationToken.None))];
        (long writes, int compactions) = await Task.Run(() => WriteAsync(holder, sequence, new Random(options.Int("seed")), readers, stop.Token), CancellationToken.None);
        (long Searches, long Rows)[] read = await Task.WhenAll(readers);

        (figures["stress_rows_checked"], figures["stress_writes"]) = (read.Sum(result => result.Rows), writes);
        Figures.Print(
            $"stress: {Items} rows with checksums, {read.Length} readers without locks, one writer",
            ["torn rows", "rows checked", "searches", "deltas applied", "compactions swapped in", "minutes"],
            [["0", $"{read.Sum(result => result.Rows)}", $"{read.Sum(result => result.Searches)}", $"{writes}", $"{compactions}", duration.TotalMinutes.ToString("0.0", CultureInfo.InvariantCulture)]]);
    }

    private static async Task<(long Writes, int Compactions)> WriteAsync(
        IndexHolder holder, ulong sequence, Random random, Task[] readers, CancellationToken stop)
    {
        (long writes, int compactions) = (0, 0);
        Compaction? compaction = null;
        while (!stop.IsCancellationRequested && !readers.Any(reader => reader.IsCompleted))
        {
            LiveIndex index = holder.Current!;
            IndexDelta delta = Next(++sequence, random);
            index.Apply(delta, out _);
            compaction?.Note(delta);
            writes++;
            if (compaction is null && index.WantsCompaction(0.3))
            {
                compaction = new Compaction(index, 10_000_000);
                compaction.Start(1, () => ValueTask.CompletedTask, CancellationToken.None);
            }
            else if (compaction is { Task.IsCompleted: true })
            {
                await compaction.Task;
                holder.Current = compaction.TryFinish();
                compaction = null;
                compactions++;
            }
        }

        return (writes, compactions);
    }

    private static IndexDelta Next(ulong sequence, Random random)
    {
        int item = random.Next(Items);
        return random.Next(10) switch
        {
            0 => new IndexDelta { Sequence = sequence, DeletedItemId = Id(item) },
            1 or 2 or 3 => new IndexDelta { Sequence = sequence, Engagement = new EngagementDelta { ItemId = Id(item), Counters = Counts(sequence) } },
            _ => Upsert(sequence, item),
        };
    }

    private static (long Searches, long Rows) Read(IndexHolder holder, Random random, CancellationToken stop)
    {
        RowFilter[] filters =
        [
            RowFilter.Visible, RowFilters.Parse("tag:even"), RowFilters.Parse("NOT tag:even"), RowFilters.Parse("attribute.stamp:s7 OR attribute.stamp:s8"),
            RowFilters.Parse("(tag:even OR attribute.stamp:s7 OR attribute.stamp:s9) AND NOT attribute.stamp:s8 AND NOT safety:s10"), // its masks are kept
        ];
        (long searches, long rows) = (0, 0);
        while (!stop.IsCancellationRequested)
        {
            LiveIndex index = holder.Current!;
            var query = new QueryVectors(Vector((ulong)random.NextInt64(1_000_000)), Dimensions);
            RowFilter filter = filters[searches++ % filters.Length];
            foreach (RowHit hit in index.Vectors.Search(query, 200, filter, CancellationToken.None))
            {
                Check(index, hit.State);
                if (!filter.Admits(hit.State)) throw new InvalidOperationException($"The filter does not admit {hit.State.Facts.ItemId} at version {hit.State.Version}.");
                rows++;
            }

            if (index.Find(Id(random.Next(Items))) is not { } found) continue;
            Check(index, found);
            rows++;
        }

        return (searches, rows);
    }

    // All parts follow from one stamp, which is the text.
    private static void Check(LiveIndex index, RowState state)
    {
        ulong stamp = ulong.Parse(state.Facts.Text, NumberStyles.None, CultureInfo.InvariantCulture);
        bool isWhole = state.Facts.Tags[0] == Tag(stamp) && state.Facts.Attributes[0].Value == Stamp(stamp) && state.Facts.Codes[0] == Code(stamp)
            && state.Eligibility.Safety == Stamp(stamp) && index.VectorOf(state).SequenceEqual(Vector(stamp))
            && state.Counters.Counts.SequenceEqual(Counts((ulong)state.Counters.AsOfMs).Counts);
        if (!isWhole) throw new InvalidOperationException($"Torn row: {state.Facts.ItemId} at version {state.Version}.");
    }

    private static IndexDelta Upsert(ulong sequence, int item)
    {
        ulong stamp = (sequence / 3) + (ulong)item; // a third keep the vector that they have now and then
        var row = new ItemRow
        {
            Item = new Item { ItemId = Id(item), AuthorId = Stamp(stamp), Text = stamp.ToString(CultureInfo.InvariantCulture), Tags = { Tag(stamp) }, CreatedAtMs = (long)stamp },
            Embedding = ByteString.CopyFrom(MemoryMarshal.AsBytes(Vector(stamp).AsSpan())),
            Counters = Counts(sequence),
            Eligibility = new Eligibility { Safety = Stamp(stamp) },
            Version = sequence,
        };
        row.Item.Attributes["stamp"] = Stamp(stamp);
        row.Codes.Add([Code(stamp), 1, 2]);
        return new IndexDelta { Sequence = sequence, Upserted = row };
    }

    private static Counters Counts(ulong of)
    {
        var counters = new Counters { AsOfMs = (long)of };
        for (int i = 0; i < ActionTaxonomy.Default.CounterCount; i++) counters.Counts.Add((of * 31) % (ulong)(97 + i));
        return counters;
    }

    private static float[] Vector(ulong stamp)
    {
        var vector = new float[Dimensions];
        for (int d = 0; d < Dimensions; d++) vector[d] = (((stamp * 2_654_435_761) >> d) & 1) == 0 ? 0.25f : -0.25f;
        vector[0] = (stamp % 1_000) / 4_000f;
        return vector;
    }

    private static string Id(int item) => string.Create(CultureInfo.InvariantCulture, $"item-{item}");

    private static string Stamp(ulong stamp) => string.Create(CultureInfo.InvariantCulture, $"s{stamp % 500}");

    private static string Tag(ulong stamp) => stamp % 2 == 0 ? "even" : "odd";

    private static uint Code(ulong stamp) => (uint)(stamp % 37);
}
