using System.Diagnostics;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Requests;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Tests;

/// <summary>Tests that need the machine to themselves: races and memory.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public sealed class ConcurrencyTests
{
    private const int Items = 200;

    public static TheoryData<string> Shapes => IndexShapes.All;

    [Theory, MemberData(nameof(Shapes))]
    public async Task Readers_never_see_a_torn_row_while_the_writer_changes_every_part_of_it(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        ulong sequence = 0;
        for (int i = 0; i < Items; i++) index.Apply(Make.Upsert(++sequence, Stamped(i, 1)), out _);
        using var stop = new CancellationTokenSource();

        Task<long>[] readers = [.. Enumerable.Range(0, 2).Select(seed => Task.Run(() => ReadUntil(index, seed, stop.Token)))];
        var random = new Random(17);
        var running = Stopwatch.StartNew();
        while (running.ElapsedMilliseconds < 2_000 || sequence <= 10_000) // on a loaded machine until there are enough
        {
            int item = random.Next(Items), stamp = 1 + random.Next(1_000_000);
            index.Apply(
                random.Next(3) switch
                {
                    0 => Engaged(++sequence, item, stamp),
                    1 when random.Next(10) == 0 => Make.Delete(++sequence, $"item-{item}"),
                    _ => Make.Upsert(++sequence, Stamped(item, stamp)),
                },
                out _);
            if (index.Vectors.Slots > 1_500_000) break;
        }

        await stop.CancelAsync();
        long checks = (await Task.WhenAll(readers)).Sum();
        Assert.True(checks > 1_000, $"only {checks} reads");
    }

    [Fact]
    public async Task Every_answer_comes_from_one_version_while_snapshots_are_swapped_under_load()
    {
        await using var rig = await new FollowerRig().StartReadyAsync();
        using var stop = new CancellationTokenSource();
        var answers = new List<string>();
        Task[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() => AskUntil(rig.Holder, answers, stop.Token)))];

        rig.Log.Append([Make.Delete(1, "nothing")]); // a snapshot at sequence 0 would hold nothing
        for (int version = 1; version <= 15; version++)
        {
            IEnumerable<ItemRow> rows = Enumerable.Range(0, 300).Select(i => Make.Row($"item-{i}", text: $"version-{version}", codes: [(uint)version % 4, 1, 1]));
            await rig.DeliverAsync(await rig.Log.SnapshotAsync(rows));
            await Eventually.True(() => rig.Current.Origin.Version == $"version-{version}", $"version {version} is swapped in");
        }

        await stop.CancelAsync();
        await Task.WhenAll(readers);
        Assert.True(answers.Distinct().Count() > 3, $"the load saw only {string.Join(", ", answers.Distinct())}");
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Index_bytes_agree_with_the_garbage_collector(string shape)
    {
        // What other tests hold comes and goes during a measurement: of five the least disturbed counts.
        (LiveIndex index, long measured) = Enumerable.Range(0, 5).Select(_ => Measure(shape)).MinBy(made => Math.Abs(made.Index.Bytes - made.Measured));

        Assert.InRange(index.Bytes / (double)measured, 0.85, 1.15);
    }

    private static (LiveIndex Index, long Measured) Measure(string shape)
    {
        var random = new Random(2);
        const int count = 30_000;
        long before = GC.GetTotalMemory(forceFullCollection: true);
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        for (int i = 0; i < count; i++)
        {
            ItemRow row = Make.Row($"item-{i}", $"author-{i % 3_000}", Make.RandomVector(random, 64), [(uint)(i % 16), (uint)(i % 256), 1],
                tags: ["one", "two"], likes: 1, text: $"some forty characters of text, number {i}");
            index.Apply(Make.Upsert((ulong)i + 1, row), out _);
        }

        long measured = GC.GetTotalMemory(forceFullCollection: true) - before;
        GC.KeepAlive(index);
        return (index, measured);
    }

    private static long ReadUntil(LiveIndex index, int seed, CancellationToken stop)
    {
        var random = new Random(seed);
        var query = new QueryVectors([1, 0, 0, 0], 4);
        long checks = 0;
        while (!stop.IsCancellationRequested)
        {
            if (index.Find($"item-{random.Next(Items)}") is { } state) checks += Check(index, state);
            foreach (RingEntry entry in index.Authors.Read($"author-{random.Next(7)}", 0))
            {
                if (entry.Row.State is { } ringed) checks += Check(index, ringed);
            }

            foreach (RowState filed in Make.Under(index.Prefixes, (uint)random.Next(5))) checks += Check(index, filed);

            if (random.Next(50) == 0)
            {
                foreach (RowHit hit in index.Vectors.Search(query, 20, RowFilter.Visible, CancellationToken.None)) checks += Check(index, hit.State);
            }
        }

        return checks;
    }

    // Facts, eligibility and vector are of one stamp; the counters, which change alone too, agree among themselves.
    private static int Check(LiveIndex index, RowState state)
    {
        string stamp = state.Facts.Text;
        ReadOnlySpan<float> vector = index.VectorOf(state);
        if (state.Eligibility.Safety != stamp || state.Facts.Tags[0] != stamp || $"{vector[0]:0}" != stamp || vector[1] != -vector[0] || vector[2] != vector[0] / 2)
        {
            Assert.Fail($"Torn row {state.Facts.ItemId}: text {stamp}, safety {state.Eligibility.Safety}, tag {state.Facts.Tags[0]}, vector {vector[0]} {vector[1]} {vector[2]}");
        }

        foreach (float count in state.Counters.Counts)
        {
            if (count != state.Counters.AsOfMs) Assert.Fail($"Torn counters of {state.Facts.ItemId}: {state.Counters}");
        }

        return 1;
    }

    private static ItemRow Stamped(int item, int stamp)
    {
        ItemRow row = Make.Row($"item-{item}", $"author-{item % 7}", codes: [(uint)stamp % 5, (uint)stamp % 3, 0], text: $"{stamp}", tags: [$"{stamp}"],
            eligibility: new Eligibility { Safety = $"{stamp}" });
        row.Embedding = Make.Bytes([stamp, -stamp, stamp / 2f, 1]);
        row.Counters = StampedCounters(stamp);
        return row;
    }

    private static IndexDelta Engaged(ulong sequence, int item, int stamp) =>
        new() { Sequence = sequence, Engagement = new EngagementDelta { ItemId = $"item-{item}", Counters = StampedCounters(stamp) } };

    private static Counters StampedCounters(int stamp)
    {
        var counters = new Counters { AsOfMs = stamp };
        counters.Counts.AddRange(Enumerable.Repeat((float)stamp, ActionTaxonomy.Default.CounterCount));
        return counters;
    }

    private static void AskUntil(IndexHolder holder, List<string> answers, CancellationToken stop)
    {
        Retriever retriever = RetrieverTests.New(Make.TwoTower(), new TrendingSource(), Make.SemanticId(100), Make.InNetwork(50, 0));
        RetrieveRequest request = Make.Request(Make.Sequence(("item-1", "like", Make.Now)), ("two-tower", 50), ("trending", 50), ("semantic-id", 50), ("in-network", 50));
        request.Follows.Add("author");
        request.IncludeText = true;
        while (!stop.IsCancellationRequested)
        {
            RetrieveResponse response = retriever.RetrieveAsync(holder.Current!, request, FilterPlan.All, CancellationToken.None).GetAwaiter().GetResult(); // without a tower it ends at once
            Assert.All(response.Candidates, candidate => Assert.Equal(response.IndexVersion, candidate.Text));
            Assert.All(response.Sources, report => Assert.Equal("", report.Error));
            lock (answers) answers.Add(response.IndexVersion);
        }
    }
}
