using FsCheck;
using FsCheck.Fluent;
using Mesh.Contracts;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Tests;

/// <summary>
/// The log against a plain sorted list. A script is a list of batches of small numbers; a number is an event, so the same
/// number again is a duplicate, and since times are a scramble of the number, most events are late. Chunks of 4 events
/// make every batch seal, split and swap.
/// </summary>
public sealed class UserLogPropertyTests
{
    private const int Ids = 120;
    private const int Times = 40;

    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(150);

    [Fact]
    public void Every_read_as_of_any_moment_equals_the_sorted_list()
    {
        Prop.ForAll<int[][]>(script => AgreesAsync(script).GetAwaiter().GetResult()).Check(Quick);
    }

    [Fact]
    public void With_a_cap_the_log_is_the_newest_part_of_the_sorted_list_and_never_longer_than_the_cap()
    {
        Prop.ForAll<int[][]>(script => CappedAgreesAsync(script).GetAwaiter().GetResult()).Check(Quick);
    }

    private static async Task<bool> AgreesAsync(int[][] script)
    {
        var bench = new LogBench();
        var sent = new List<Engagement>();
        foreach (int[] batch in script)
        {
            Engagement[] events = [.. batch.Select(EventOf)];
            int before = Engagements.Model(sent).Count;
            AppendOutcome outcome = await bench.Log.AppendAsync("u1", events, CancellationToken.None);
            sent.AddRange(events);
            Assert.Equal(Engagements.Model(sent).Count - before, outcome.Added);
            Assert.Equal(events.Length, outcome.Added + outcome.Duplicates);
        }

        List<Engagement> model = Engagements.Model(sent);
        foreach (int limit in new[] { 1, 3, 7, 1_000 })
        {
            for (long asOf = Engagements.EpochMs - 1; asOf <= Engagements.EpochMs + Times; asOf++)
            {
                SequenceEvent[] expected = [.. model.Where(engagement => engagement.TimeMs <= asOf).Reverse().Take(limit).Select(Engagements.AsStored)];
                UserHistory history = await bench.Reader.HistoryAsync("u1", asOf, limit, CancellationToken.None);
                Assert.Equal(expected, history.Events);
            }
        }

        UserContext context = await bench.Reader.ContextAsync("u1", long.MaxValue, 4_096, CancellationToken.None);
        Assert.Equal(model.Count, context.EventsTotal);
        Assert.Equal(model.Count, context.Version);
        Assert.Equal(model.Select(engagement => engagement.ItemId), context.Sequence.ItemIds);
        Assert.Equal(model.Select(engagement => ItemHash.Compute(engagement.ItemId)).ToHashSet(), context.Engaged.ToHashSet());
        return true;
    }

    private static async Task<bool> CappedAgreesAsync(int[][] script)
    {
        const int EventsMax = 20, ChunkEvents = 4;
        var bench = new LogBench(ChunkEvents, EventsMax);
        var sent = new List<Engagement>();
        foreach (int[] batch in script)
        {
            Engagement[] events = [.. batch.Select(EventOf)];
            await bench.Log.AppendAsync("u1", events, CancellationToken.None);
            sent.AddRange(events);
        }

        List<Engagement> model = Engagements.Model(sent);
        UserHistory history = await bench.Reader.HistoryAsync("u1", long.MaxValue, 1_000, CancellationToken.None);
        Assert.InRange(history.Events.Count, Math.Min(model.Count, EventsMax - ChunkEvents + 1), EventsMax);
        Assert.Equal(model.TakeLast(history.Events.Count).Reverse().Select(Engagements.AsStored), history.Events);
        Assert.Equal(history.Events.Count, history.EventsTotal);
        return true;
    }

    private static Engagement EventOf(int number)
    {
        int index = (int)((uint)number % Ids);
        return Engagements.Event(index, Engagements.EpochMs + (index * 7919 % Times));
    }
}
