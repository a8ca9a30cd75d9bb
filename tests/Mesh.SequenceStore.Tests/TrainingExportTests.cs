using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;
using Mesh.SequenceStore.Training;

namespace Mesh.SequenceStore.Tests;

/// <summary>Rows joined on the fly are the rows that a slow join over everything ever sent makes.</summary>
public sealed class TrainingExportTests
{
    private const long Epoch = Engagements.EpochMs;
    private const long Window = 1_000;
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly TrainingQuery Everything = new(0, long.MaxValue, 512, Window, 5_000, long.MaxValue, null);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task The_export_agrees_with_a_slow_join_whatever_came_late_twice_or_was_erased(int seed)
    {
        var random = new Random(seed);
        var state = new InMemoryUserState();
        var bench = new LogBench(chunkEvents: 6, state: state);
        string[] users = [.. Enumerable.Range(0, 12).Select(i => $"user:{i}")];
        var events = new List<Engagement>();
        var requests = new List<RequestLogEntry>();

        for (int step = 0; step < 400; step++)
        {
            string user = users[random.Next(users.Length)];
            long nowMs = bench.Clock.GetUtcNow().ToUnixTimeMilliseconds();
            if (random.Next(3) == 0) state.NextTransaction = random.Next(2) == 0 ? InMemoryUserState.Fault.BeforeCommit : InMemoryUserState.Fault.AfterCommit;
            switch (random.Next(40))
            {
                case 0:
                    await RepeatedAsync(() => bench.Erasure.EraseAsync(user, None));
                    events.RemoveAll(e => e.UserId == user);
                    requests.RemoveAll(r => r.UserId == user);
                    break;
                case < 16:
                    RequestLogEntry entry = Request(step, user, nowMs, random.Next(1, 6));
                    await RepeatedAsync(() => bench.Requests.AppendAsync(user, entry, None));
                    requests.Add(entry);
                    break;
                default:
                    RequestLogEntry[] own = [.. requests.Where(r => r.UserId == user).TakeLast(4)];
                    Engagement[] batch = [.. Enumerable.Range(0, random.Next(1, 6)).Select(i => Event(random, (step * 10) + i, user, nowMs, own))];
                    await RepeatedAsync(() => bench.Log.AppendAsync(user, batch, None));
                    events.AddRange(batch);
                    break;
            }

            state.NextTransaction = InMemoryUserState.Fault.None;
            bench.Clock.Advance(TimeSpan.FromMilliseconds(random.Next(1, 300)));
        }

        TrainingQuery query = Everything with { EventsMax = 20, UnservedMax = 2, FromMs = Epoch + 5_000, UntilMs = Epoch + 50_000 };
        List<TrainingRow> rows = await RowsAsync(bench, query);

        Assert.NotEmpty(rows);
        Assert.Equal(
            requests.Where(r => r.TimeMs >= query.FromMs && r.TimeMs < query.UntilMs).Select(r => SlowJoin(r, events, query)).OrderBy(row => row.RequestId),
            rows.OrderBy(row => row.RequestId));
    }

    [Fact]
    public async Task A_sequence_ends_strictly_before_its_request_and_holds_nothing_of_it()
    {
        var bench = new LogBench();
        RequestLogEntry request = Request(1, "u1", Epoch, served: 3, unserved: 0);
        await bench.Requests.AppendAsync("u1", request, None);
        await bench.Log.AppendAsync("u1", [
            Event(1, Epoch - 10, "old"), Event(2, Epoch, "same-moment"), Event(3, Epoch + 10, "s0", request.RequestId),
            Event(4, Epoch - 5, "s1", request.RequestId), // a client whose clock is behind
            Event(5, Epoch - 20, "late")], None);

        TrainingRow row = Assert.Single(await RowsAsync(bench, Everything));

        Assert.Equal(["late", "old"], row.Sequence.ItemIds);
        Assert.Equal([["like"], ["like"], []], Labels(row));
    }

    [Fact]
    public async Task Labels_are_the_actions_that_name_the_request_within_the_window_and_nothing_else()
    {
        var bench = new LogBench();
        RequestLogEntry request = Request(1, "u1", Epoch, served: 3, unserved: 0);
        await bench.Requests.AppendAsync("u1", request, None);
        await bench.Log.AppendAsync("u1", [
            Event(1, Epoch + 1, "s0", request.RequestId, "click"), Event(2, Epoch + 2, "s0", request.RequestId, "dwell", 4), Event(3, Epoch + 3, "s0", request.RequestId, "dwell", 9),
            Event(4, Epoch + Window, "s1", request.RequestId, "like"), Event(5, Epoch + Window + 1, "s1", request.RequestId, "save"), // one is in the window, the other not
            Event(6, Epoch + 4, "s2", Engagements.EventId(77), "like"), Event(7, Epoch + 5, "s2"), // of another request, and of none
            Event(8, Epoch + 6, "s2", request.RequestId, "impression"), Event(9, Epoch + 7, "elsewhere", request.RequestId)], None);

        TrainingRow row = Assert.Single(await RowsAsync(bench, Everything));

        Assert.Equal([["click", "dwell"], ["like"], []], Labels(row));
        Assert.Equal([9, 0, 0], row.Candidates.Select(candidate => candidate.DwellSeconds));
    }

    [Fact]
    public async Task Served_candidates_come_first_and_unserved_ones_up_to_the_limit_with_what_was_logged_of_each()
    {
        var bench = new LogBench();
        RequestLogEntry request = Request(1, "u1", Epoch, served: 2, unserved: 4);
        request.Candidates[0].Counters = new Counters { Counts = { 1, 2 }, AsOfMs = 7 };
        request.Candidates[0].InNetwork = true;
        request.Arms["ranker"] = "transformer";
        await bench.Requests.AppendAsync("u1", request, None);

        TrainingRow row = Assert.Single(await RowsAsync(bench, Everything with { UnservedMax = 3 }));

        Assert.Equal(["s0", "s1", "r0", "r1", "r2"], row.Candidates.Select(candidate => candidate.ItemId));
        Assert.Equal([true, true, false, false, false], row.Candidates.Select(candidate => candidate.Served));
        Assert.Equal((request.Candidates[0].Counters, true), (row.Candidates[0].Counters, row.Candidates[0].InNetwork));
        Assert.Equal(("m", "i", "transformer", "home"), (row.ModelVersion, row.IndexVersion, row.Arms["ranker"], row.Surface));
    }

    [Fact]
    public async Task Any_row_is_a_cursor_also_after_more_was_written_and_its_user_erased()
    {
        LogBench bench = await FilledAsync(users: 9, requests: 7);
        List<TrainingRow> rows = await RowsAsync(bench, Everything);
        Assert.Equal(63, rows.Count);

        for (int i = 0; i < rows.Count; i += 5)
        {
            var after = TrainingCursor.Parse($"{rows[i].RequestId}:{rows[i].UserId}");
            Assert.Equal(rows[(i + 1)..], await RowsAsync(bench, Everything with { After = after }));
        }

        string erased = rows[20].UserId;
        await bench.Erasure.EraseAsync(erased, None);
        await bench.Requests.AppendAsync("user-0", Request(5_000, "user-0", Epoch + 900), None);
        var afterErased = TrainingCursor.Parse($"{rows[20].RequestId}:{erased}");
        List<TrainingRow> rest = await RowsAsync(bench, Everything with { After = afterErased });
        Assert.Equal(rows[21..].Where(row => row.UserId != erased), rest.Where(row => row.RequestId != Engagements.EventId(3_005_000)));
    }

    [Fact]
    public async Task A_log_older_than_the_directory_is_found_from_its_users_next_request_on()
    {
        LogBench bench = await FilledAsync(users: 1, requests: 300);
        string key = StateKeys.RequestDirectory("user-0");
        RequestDirectory old = (await bench.State.GetAsync([key], None)).Read<RequestDirectory>(key);
        old.Listed = false;
        old.TailTimesMs.Clear();
        await bench.State.TransactAsync([new(key, old.ToState())], None);
        await bench.Users.RemoveAsync("user-0", None);
        Assert.Empty(await RowsAsync(bench, Everything));

        await bench.Requests.AppendAsync("user-0", Request(900, "user-0", Epoch + 900), None);

        Assert.Equal(301, (await RowsAsync(bench, Everything)).Count);
        Assert.Equal(300, (await RowsAsync(bench, Everything with { UntilMs = Epoch + 900 })).Count);
    }

    [Fact]
    public async Task A_user_who_was_listed_and_whose_request_was_never_stored_is_passed_over_and_added_once()
    {
        var bench = new LogBench();
        bench.State.AfterTransaction = writes => bench.State.NextTransaction =
            writes.Any(write => write.Key.StartsWith("d:", StringComparison.Ordinal)) ? InMemoryUserState.Fault.BeforeCommit : InMemoryUserState.Fault.None;

        await Assert.ThrowsAsync<IOException>(() => bench.Requests.AppendAsync("u1", Request(1, "u1", Epoch), None));
        Assert.Single(bench.State.Keys, key => key.StartsWith("d:", StringComparison.Ordinal));
        Assert.Empty(await RowsAsync(bench, Everything));
        await bench.Requests.AppendAsync("u1", Request(1, "u1", Epoch), None);

        Assert.Single(await RowsAsync(bench, Everything));
    }

    [Fact]
    public async Task Requests_that_an_unfinished_erasure_left_behind_are_not_exported()
    {
        LogBench bench = await FilledAsync(users: 1, requests: 300);
        int gets = 0;
        bench.State.BeforeGet = _ => ++gets == 3 ? throw new IOException("The sidecar is gone.") : Task.CompletedTask;
        await Assert.ThrowsAsync<IOException>(() => bench.Erasure.EraseAsync("user-0", None));
        bench.State.BeforeGet = null;

        Assert.Contains(bench.State.Keys, key => key.StartsWith("r:", StringComparison.Ordinal));
        Assert.Empty(await RowsAsync(bench, Everything));
    }

    [Fact]
    public async Task A_users_log_is_read_once_for_all_rows_and_only_where_there_is_a_row()
    {
        LogBench bench = await FilledAsync(users: 4, requests: 100);
        bench.State.Gets.Clear();

        List<TrainingRow> rows = await RowsAsync(bench, Everything with { FromMs = Epoch + 90, UntilMs = Epoch + 100 });
        int some = bench.State.Gets.Count(keys => keys.Any(key => key.StartsWith("u:", StringComparison.Ordinal) && key.EndsWith(":h", StringComparison.Ordinal)));
        bench.State.Gets.Clear();
        await RowsAsync(bench, Everything with { FromMs = Epoch + 900 });

        Assert.Equal(40, rows.Count);
        Assert.Equal(4 * 2, some); // the log, and the head beside one group of entries
        Assert.DoesNotContain(bench.State.Gets, keys => keys.Any(key => key.StartsWith("r:", StringComparison.Ordinal) || key.EndsWith(":h", StringComparison.Ordinal)));
    }

    private static TrainingRow SlowJoin(RequestLogEntry request, List<Engagement> events, TrainingQuery query)
    {
        List<Engagement> log = Engagements.Model(events.Where(e => e.UserId == request.UserId));
        Engagement[] before = [.. log.Where(e => e.TimeMs < request.TimeMs && e.RequestId != request.RequestId).TakeLast(query.EventsMax)];
        var row = new TrainingRow
        {
            RequestId = request.RequestId, UserId = request.UserId, TimeMs = request.TimeMs, Surface = request.Surface, ModelVersion = request.ModelVersion, IndexVersion = request.IndexVersion,
            Sequence = new Sequence
            {
                ItemIds = { before.Select(e => e.ItemId) }, TimesMs = { before.Select(e => e.TimeMs) }, Values = { before.Select(e => e.Value) },
                Actions = Google.Protobuf.ByteString.CopyFrom([.. before.Select(e => (byte)ActionTaxonomy.Default.IndexOf(e.Action))]),
                SurfaceNames = { before.Select(e => e.Surface).Distinct() },
            },
        };
        row.Sequence.Surfaces.Add(before.Select(e => (uint)row.Sequence.SurfaceNames.IndexOf(e.Surface)));
        foreach (LoggedCandidate candidate in request.Candidates.Where(c => c.Served).Concat(request.Candidates.Where(c => !c.Served).Take(query.UnservedMax)))
        {
            Engagement[] own = [.. log.Where(e => e.RequestId == request.RequestId && e.ItemId == candidate.ItemId && e.TimeMs <= request.TimeMs + query.WindowMs)];
            row.Candidates.Add(new TrainingCandidate
            {
                ItemId = candidate.ItemId, Served = candidate.Served, Score = candidate.Score,
                Actions = { own.Select(e => (uint)ActionTaxonomy.Default.IndexOf(e.Action)).Distinct() },
                DwellSeconds = own.Where(e => e.Action == "dwell").Select(e => e.Value).DefaultIfEmpty().Max(),
            });
        }

        return row;
    }

    private static async Task<LogBench> FilledAsync(int users, int requests)
    {
        var bench = new LogBench();
        bench.Clock.Advance(TimeSpan.FromMinutes(1));
        for (int user = 0; user < users; user++)
        {
            for (int i = 0; i < requests; i++) await bench.Requests.AppendAsync($"user-{user}", Request((user * 1_000) + i, $"user-{user}", Epoch + i), None);
        }

        return bench;
    }

    private static async Task<List<TrainingRow>> RowsAsync(LogBench bench, TrainingQuery query)
    {
        var rows = new List<TrainingRow>();
        await foreach (TrainingRow row in bench.Export.RowsAsync(query, None)) rows.Add(row);
        return rows;
    }

    private static IEnumerable<string[]> Labels(TrainingRow row) =>
        row.Candidates.Select(candidate => candidate.Actions.Select(action => ActionTaxonomy.Default.NameOf((int)action)).ToArray());

    internal static RequestLogEntry Request(int index, string user, long timeMs, int served = 2, int unserved = 3) => new()
    {
        RequestId = Engagements.EventId(3_000_000 + index), UserId = user, TimeMs = timeMs, Surface = "home", ModelVersion = "m", IndexVersion = "i",
        Candidates =
        {
            Enumerable.Range(0, served).Select(i => new LoggedCandidate { ItemId = $"s{i}", Served = true, Score = 1 - (i * 0.1f) }),
            Enumerable.Range(0, unserved).Select(i => new LoggedCandidate { ItemId = $"r{i}", Score = -i }),
        },
    };

    private static Engagement Event(int index, long timeMs, string item, string requestId = "", string action = "like", float value = 0) => new()
    {
        EventId = Engagements.EventId(index), UserId = "u1", ItemId = item, Action = action, TimeMs = timeMs, Value = value, RequestId = requestId, Surface = "home", ReceivedAtMs = Epoch,
    };

    private static Engagement Event(Random random, int index, string user, long nowMs, RequestLogEntry[] requests)
    {
        Engagement engagement = Engagements.Event(index, nowMs - random.Next(-50, 3_000), user, ActionTaxonomy.Default.Names[random.Next(14)], nowMs);
        engagement.RequestId = requests.Length == 0 || random.Next(2) == 0 ? "" : requests[random.Next(requests.Length)].RequestId;
        engagement.ItemId = random.Next(2) == 0 ? $"s{random.Next(5)}" : $"r{random.Next(3)}";
        return engagement;
    }

    private static async Task RepeatedAsync(Func<Task> operation)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await operation();
                return;
            }
            catch (IOException) when (attempt < 3)
            {
            }
        }
    }
}
