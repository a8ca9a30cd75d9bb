using System.Text;
using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.PubSub.Brokers.Sqlite;
using Mesh.Testing;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>The contract of a broker, without a sidecar around it; time is the test's own.</summary>
public abstract class BrokerSuite : IAsyncDisposable
{
    private protected static readonly ConsumerGroup Group =
        new("g", StartsAtLatest: false, Ephemeral: false, ProcessingTimeout: TimeSpan.FromSeconds(15), RedeliverInterval: TimeSpan.FromSeconds(5));

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private IBroker? _broker;

    private protected ManualClock Clock { get; } = new();

    private protected IBroker Broker => _broker ??= Open();

    private protected abstract IBroker Open();

    public virtual async ValueTask DisposeAsync()
    {
        if (_broker is not null) await _broker.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private protected static OutgoingMessage Message(int n, TimeSpan? ttl = null) => new(Encoding.UTF8.GetBytes($"{n}"), "text/plain", IsCloudEvent: false, null, ttl);

    private protected static Task PublishAsync(IBroker broker, string topic, params int[] numbers) =>
        broker.PublishAsync(topic, [.. numbers.Select(n => Message(n))], CancellationToken.None);

    private protected static async Task<IReadOnlyList<ReceivedMessage>> ReceiveAsync(IBrokerConsumer consumer, int max = 100, TimeSpan linger = default)
    {
        using var patience = new CancellationTokenSource(Patience);
        return await consumer.ReceiveAsync(max, linger, patience.Token);
    }

    private protected static IEnumerable<int> Numbers(IEnumerable<ReceivedMessage> messages) =>
        [.. messages.Select(message => int.Parse(Encoding.UTF8.GetString(message.Data.Span), System.Globalization.CultureInfo.InvariantCulture))];

    private protected static Task<IBrokerConsumer> JoinAsync(IBroker broker, string topic = "t", ConsumerGroup? group = null) =>
        broker.SubscribeAsync(topic, group ?? Group, CancellationToken.None);

    [Fact]
    public async Task Messages_come_in_publish_order_and_only_of_the_topic_asked_for()
    {
        await PublishAsync(Broker, "t", 1, 2);
        await PublishAsync(Broker, "other", 99);
        await PublishAsync(Broker, "t", 3);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);

        Assert.Equal([1, 2, 3], Numbers(await ReceiveAsync(consumer)));
    }

    [Fact]
    public async Task A_waiting_consumer_is_woken_by_a_publish()
    {
        await using IBrokerConsumer consumer = await JoinAsync(Broker);
        Task<IReadOnlyList<ReceivedMessage>> receiving = ReceiveAsync(consumer);
        Assert.False(receiving.IsCompleted);

        await PublishAsync(Broker, "t", 1);

        Assert.Equal([1], Numbers(await receiving));
    }

    [Fact]
    public async Task A_batch_ends_at_its_maximum()
    {
        await PublishAsync(Broker, "t", [.. Enumerable.Range(0, 10)]);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);

        Assert.Equal([0, 1, 2, 3], Numbers(await ReceiveAsync(consumer, max: 4)));
    }

    [Fact]
    public async Task A_lingering_consumer_returns_as_soon_as_the_batch_is_full()
    {
        await using IBrokerConsumer consumer = await JoinAsync(Broker);
        await PublishAsync(Broker, "t", 1);
        Task<IReadOnlyList<ReceivedMessage>> receiving = ReceiveAsync(consumer, max: 3, TimeSpan.FromHours(1));

        await PublishAsync(Broker, "t", 2, 3, 4);

        Assert.Equal([1, 2, 3], Numbers(await receiving));
    }

    [Fact]
    public async Task An_acknowledged_message_never_comes_back_and_a_failed_one_comes_after_the_interval()
    {
        await PublishAsync(Broker, "t", 1, 2, 3);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);
        IReadOnlyList<ReceivedMessage> first = await ReceiveAsync(consumer);

        await consumer.SettleAsync([first[1]], Settlement.Redeliver);
        await consumer.SettleAsync([first[0], first[2]], Settlement.Acknowledge);
        Task<IReadOnlyList<ReceivedMessage>> second = ReceiveAsync(consumer);
        await Clock.WhenWaitedOnAsync();
        Clock.Advance(TimeSpan.FromSeconds(4));
        Assert.False(second.IsCompleted);
        Clock.Advance(TimeSpan.FromSeconds(2));

        ReceivedMessage again = Assert.Single(await second);
        Assert.Equal(first[1].Id, again.Id);
        Assert.Equal(2, again.Attempt);
    }

    [Fact]
    public async Task New_messages_pass_one_that_waits_for_its_redelivery()
    {
        await PublishAsync(Broker, "t", 1);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);
        await consumer.SettleAsync(await ReceiveAsync(consumer), Settlement.Redeliver);

        await PublishAsync(Broker, "t", 2);

        Assert.Equal([2], Numbers(await ReceiveAsync(consumer)));
    }

    [Fact]
    public async Task A_released_message_comes_back_at_once_and_uncounted()
    {
        await PublishAsync(Broker, "t", 1, 2);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);
        await consumer.SettleAsync(await ReceiveAsync(consumer), Settlement.Release);

        IReadOnlyList<ReceivedMessage> again = await ReceiveAsync(consumer);

        Assert.Equal([1, 2], Numbers(again));
        Assert.All(again, message => Assert.Equal(1, message.Attempt));
    }

    [Fact]
    public async Task A_consumer_that_leaves_gives_its_messages_to_the_others_of_its_group()
    {
        await PublishAsync(Broker, "t", 1, 2, 3, 4);
        IBrokerConsumer leaving = await JoinAsync(Broker);
        await using IBrokerConsumer staying = await JoinAsync(Broker);
        Assert.Equal([1, 2], Numbers(await ReceiveAsync(leaving, max: 2)));
        IReadOnlyList<ReceivedMessage> own = await ReceiveAsync(staying, max: 2);
        await staying.SettleAsync(own, Settlement.Acknowledge);

        await leaving.DisposeAsync();

        Assert.Equal([3, 4], Numbers(own));
        Assert.Equal([1, 2], Numbers(await ReceiveAsync(staying)));
    }

    [Fact]
    public async Task Every_group_gets_every_message()
    {
        await PublishAsync(Broker, "t", 1, 2);
        await using IBrokerConsumer one = await JoinAsync(Broker);
        await using IBrokerConsumer two = await JoinAsync(Broker, group: Group with { Name = "h" });

        Assert.Equal([1, 2], Numbers(await ReceiveAsync(one)));
        Assert.Equal([1, 2], Numbers(await ReceiveAsync(two)));
    }

    [Fact]
    public async Task A_group_that_starts_at_the_latest_gets_what_comes_after_it()
    {
        await PublishAsync(Broker, "t", 1, 2);
        await using IBrokerConsumer consumer = await JoinAsync(Broker, group: Group with { StartsAtLatest = true, Ephemeral = true });
        await PublishAsync(Broker, "t", 3);

        Assert.Equal([3], Numbers(await ReceiveAsync(consumer)));
    }

    [Fact]
    public async Task Consumers_of_one_group_share_many_messages_without_loss_or_doubling()
    {
        const int Count = 2000;
        var inbox = new Inbox<int>();
        using var stop = new CancellationTokenSource();
        Task[] consumers = [.. Enumerable.Range(0, 4).Select(async _ =>
        {
            await using IBrokerConsumer consumer = await JoinAsync(Broker);
            while (true)
            {
                IReadOnlyList<ReceivedMessage> batch = await consumer.ReceiveAsync(50, TimeSpan.Zero, stop.Token);
                foreach (int number in Numbers(batch)) inbox.Add(number);
                await consumer.SettleAsync(batch, Settlement.Acknowledge);
            }
        })];

        await Task.WhenAll(Enumerable.Range(0, 20).Select(part => PublishAsync(Broker, "t", [.. Enumerable.Range(part * 100, 100)])));
        IReadOnlyList<int> received = await inbox.WaitForAsync(Count);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.WhenAll(consumers));

        Assert.Equal(Enumerable.Range(0, Count), received.Order());
    }
}

public sealed class InMemoryBrokerTests : BrokerSuite
{
    private protected override IBroker Open() => new InMemoryBroker(new InMemoryOptions(MessagesMax: 5000, RetainedMax: 100, TimeSpan.FromSeconds(5)), Clock);

    [Fact]
    public async Task A_full_topic_makes_publishers_wait_and_then_says_why_it_refuses()
    {
        IBroker small = new InMemoryBroker(new InMemoryOptions(MessagesMax: 3, RetainedMax: 100, TimeSpan.FromSeconds(5)), Clock);
        await using IBrokerConsumer consumer = await JoinAsync(small);
        await PublishAsync(small, "t", 1, 2, 3);

        Task waiting = PublishAsync(small, "t", 4);
        await Clock.WhenWaitedOnAsync();
        await consumer.SettleAsync(await ReceiveAsync(consumer, max: 1), Settlement.Acknowledge);
        await waiting;
        Task refused = PublishAsync(small, "t", 5);
        await Clock.WhenWaitedOnAsync();
        Clock.Advance(TimeSpan.FromSeconds(6));

        var error = await Assert.ThrowsAsync<BrokerException>(() => refused);
        Assert.Contains("maxMessages", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_topic_without_groups_keeps_the_newest_messages_only()
    {
        await PublishAsync(Broker, "t", [.. Enumerable.Range(0, 150)]);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);

        Assert.Equal(Enumerable.Range(50, 100), Numbers(await ReceiveAsync(consumer, max: 200)));
    }
}

public sealed class SqliteBrokerTests : BrokerSuite
{
    private readonly TempFolder _folder = new();

    private SqliteBrokerOptions Options => new() { Path = Path.Combine(_folder.Path, "m.db"), Component = "pubsub", CleanupInterval = TimeSpan.FromSeconds(1) };

    private protected override IBroker Open() => OpenWith(Options);

    private SqliteBroker OpenWith(SqliteBrokerOptions options) => new(options, Clock, NullLogger.Instance);

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Messages_and_what_was_acknowledged_survive_a_restart()
    {
        SqliteBroker first = OpenWith(Options);
        await PublishAsync(first, "t", 1, 2, 3, 4);
        await using (IBrokerConsumer consumer = await JoinAsync(first))
        {
            IReadOnlyList<ReceivedMessage> taken = await ReceiveAsync(consumer, max: 3);
            await consumer.SettleAsync([taken[1]], Settlement.Acknowledge);
        }

        await first.DisposeAsync();
        await using IBrokerConsumer again = await JoinAsync(Broker);

        Assert.Equal([1, 3, 4], Numbers(await ReceiveAsync(again)));
    }

    [Fact]
    public async Task Another_process_on_the_file_sees_what_is_published_and_shares_the_group()
    {
        await using SqliteBroker other = OpenWith(Options); // another connection: to SQLite the same as another process
        await using IBrokerConsumer here = await JoinAsync(Broker);
        await using IBrokerConsumer there = await JoinAsync(other);
        Task<IReadOnlyList<ReceivedMessage>> hereReceives = ReceiveAsync(here, max: 1);
        Task<IReadOnlyList<ReceivedMessage>> thereReceives = ReceiveAsync(there, max: 1);

        await PublishAsync(other, "t", 1, 2);

        Assert.Equal([1, 2], Numbers([.. await hereReceives, .. await thereReceives]).Order());
    }

    [Fact]
    public async Task A_lease_that_is_not_renewed_passes_to_another_consumer_and_its_attempts_are_counted()
    {
        await PublishAsync(Broker, "t", 1);
        await using IBrokerConsumer other = await JoinAsync(Broker);
        await using IBrokerConsumer dying = await JoinAsync(Broker);
        await ReceiveAsync(dying);
        // The process of a consumer that dies renews nothing; here its lease is made to end.
        using (SqliteConnection connection = SqliteSchema.Open(Options.Path)) SqliteSchema.Run(connection, "UPDATE pending SET due_at = 0");

        ReceivedMessage taken = Assert.Single(await ReceiveAsync(other));

        Assert.Equal(2, taken.Attempt);
    }

    [Fact]
    public async Task A_consumer_that_works_for_long_keeps_its_messages()
    {
        await PublishAsync(Broker, "t", 1);
        await using IBrokerConsumer busy = await JoinAsync(Broker);
        IReadOnlyList<ReceivedMessage> held = await ReceiveAsync(busy);
        await using IBrokerConsumer other = await JoinAsync(Broker);
        Task<IReadOnlyList<ReceivedMessage>> stolen = ReceiveAsync(other);

        for (int i = 0; i < 10; i++)
        {
            Clock.Advance(TimeSpan.FromSeconds(5));
            await UntilAsync("SELECT min(due_at) FROM pending", due => due >= Clock.GetUtcNow().ToUnixTimeMilliseconds() + 9_000);
        }

        Assert.False(stolen.IsCompleted);
        await busy.SettleAsync(held, Settlement.Acknowledge);
        await PublishAsync(Broker, "t", 2);
        Assert.Equal([2], Numbers(await stolen));
    }

    [Fact]
    public async Task What_a_dead_process_of_this_machine_holds_is_taken_over_on_opening()
    {
        SqliteBroker first = OpenWith(Options);
        await PublishAsync(first, "t", 1, 2);
        IBrokerConsumer consumer = await JoinAsync(first);
        await ReceiveAsync(consumer);
        using (SqliteConnection connection = SqliteSchema.Open(Options.Path))
        {
            // No process of this machine has this id and start time.
            SqliteSchema.Run(connection, "UPDATE owners SET pid = 2147480000, started_at = 1");
        }

        await using SqliteBroker second = OpenWith(Options);
        await using IBrokerConsumer heir = await JoinAsync(second);
        IReadOnlyList<ReceivedMessage> inherited = await ReceiveAsync(heir);
        await consumer.DisposeAsync();
        await first.DisposeAsync();

        Assert.Equal([1, 2], Numbers(inherited));
        Assert.All(inherited, message => Assert.Equal(2, message.Attempt));
    }

    [Fact]
    public async Task Messages_that_every_group_has_acknowledged_are_deleted_after_the_retention()
    {
        await using IBrokerConsumer one = await JoinAsync(Broker);
        await using IBrokerConsumer two = await JoinAsync(Broker, group: Group with { Name = "h" });
        await PublishAsync(Broker, "t", 1, 2, 3);
        await one.SettleAsync(await ReceiveAsync(one), Settlement.Acknowledge);
        IReadOnlyList<ReceivedMessage> taken = await ReceiveAsync(two);
        await two.SettleAsync([taken[0], taken[2]], Settlement.Acknowledge);

        Clock.Advance(TimeSpan.FromMinutes(2));
        await UntilAsync("SELECT count(*) FROM messages", count => count == 1);
        await two.SettleAsync([taken[1]], Settlement.Acknowledge);
        Clock.Advance(TimeSpan.FromMinutes(2));

        await UntilAsync("SELECT count(*) FROM messages", count => count == 0);
    }

    [Fact]
    public async Task Messages_of_a_topic_without_groups_stay_until_they_are_too_old()
    {
        await PublishAsync(Broker, "t", 1, 2);
        Clock.Advance(TimeSpan.FromDays(6));
        await PublishAsync(Broker, "t", 3);

        Clock.Advance(TimeSpan.FromDays(2));
        await UntilAsync("SELECT count(*) FROM messages", count => count == 1);
        await using IBrokerConsumer consumer = await JoinAsync(Broker);

        Assert.Equal([3], Numbers(await ReceiveAsync(consumer)));
    }

    [Fact]
    public async Task Beyond_the_size_limit_publishing_is_refused_until_consumers_catch_up_and_nothing_is_lost()
    {
        await using SqliteBroker small = OpenWith(Options with { BytesMax = 4 * 1024 * 1024 });
        await using IBrokerConsumer consumer = await JoinAsync(small);
        OutgoingMessage[] bulk = [.. Enumerable.Range(0, 200).Select(_ => new OutgoingMessage(new byte[10_000], "x", false))];
        for (int i = 0; i < 3; i++) await small.PublishAsync("t", bulk, CancellationToken.None);

        Clock.Advance(TimeSpan.FromSeconds(6));
        await UntilAsync("SELECT 1", _ => small.Housekeeping.IsFull);
        await Assert.ThrowsAsync<BrokerException>(() => small.PublishAsync("t", bulk, CancellationToken.None));

        int received = 0;
        while (received < 600)
        {
            IReadOnlyList<ReceivedMessage> taken = await ReceiveAsync(consumer);
            received += taken.Count;
            await consumer.SettleAsync(taken, Settlement.Acknowledge);
        }

        Clock.Advance(TimeSpan.FromSeconds(6));
        await UntilAsync("SELECT 1", _ => !small.Housekeeping.IsFull);
        await small.PublishAsync("t", bulk, CancellationToken.None);
        Assert.Equal(600, received);
    }

    [Fact]
    public async Task An_ephemeral_group_is_forgotten_once_it_has_been_idle()
    {
        ConsumerGroup replica = Group with { Name = "r", Ephemeral = true, StartsAtLatest = true };
        IBrokerConsumer gone = await JoinAsync(Broker, group: replica);
        await using IBrokerConsumer alive = await JoinAsync(Broker, group: replica with { Name = "s" });
        await gone.DisposeAsync();

        Clock.Advance(TimeSpan.FromMinutes(11));

        await UntilAsync("SELECT count(*) FROM groups WHERE name = 'r'", count => count == 0);
        await UntilAsync("SELECT count(*) FROM groups WHERE name = 's'", count => count == 1);
    }

    [Fact]
    public async Task A_message_whose_time_to_live_is_over_is_never_handed_out()
    {
        await Broker.PublishAsync("t", [Message(1, TimeSpan.FromSeconds(10)), Message(2)], CancellationToken.None);
        Clock.Advance(TimeSpan.FromSeconds(11));
        await using IBrokerConsumer consumer = await JoinAsync(Broker);

        Assert.Equal([2], Numbers(await ReceiveAsync(consumer)));
    }

    [Fact]
    public async Task Publishers_that_come_together_share_commits()
    {
        var broker = (SqliteBroker)Broker;
        long before = broker.Commits;

        await Task.WhenAll(Enumerable.Range(0, 2000).Select(n => PublishAsync(broker, "t", n)));

        Assert.InRange(broker.Commits - before, 1, 1000);
    }

    [Fact]
    public async Task The_depth_of_every_group_is_known()
    {
        await using IBrokerConsumer consumer = await JoinAsync(Broker);
        await PublishAsync(Broker, "t", 1, 2, 3);
        await consumer.SettleAsync(await ReceiveAsync(consumer, max: 1), Settlement.Acknowledge);

        Clock.Advance(TimeSpan.FromSeconds(2));
        for (int i = 0; i < 200 && Broker.Depths.All(depth => depth.Messages != 2); i++) await Task.Delay(25);

        Assert.Equal(new QueueDepth("t", "g", 2), Assert.Single(Broker.Depths));
    }

    [Fact]
    public void Housekeeping_does_not_look_at_all_that_waits_for_its_retention()
    {
        using SqliteConnection connection = SqliteSchema.Open(Options.Path);
        connection.Handle!.enable_sqlite3_next_stmt(true);
        SqliteSchema.Prepare(connection, Options.Path);
        SqliteSchema.Run(connection, $"""
            INSERT INTO messages(topic, data, content_type, cloud_event, published_at)
            SELECT 't', x'00', 'x', 0, {Clock.GetUtcNow().ToUnixTimeMilliseconds()} FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n);
            INSERT INTO groups(topic, name, cursor, ephemeral, seen_at) VALUES('t', 'g', 100000, 0, 0), ('t', 'h', 100000, 0, 0);
            """);
        using var statements = new SqliteStatements(connection);
        var housekeeping = new SqliteHousekeeping(Options, 0, Clock, NullLogger.Instance, () => { });

        housekeeping.RunIfDue(statements);

        Assert.InRange(Steps(connection), 1, 100_000);
    }

    [Fact]
    public async Task Taking_a_batch_does_not_load_what_it_leaves()
    {
        OutgoingMessage[] large = [.. Enumerable.Range(0, 100).Select(_ => new OutgoingMessage(new byte[100_000], "x", false))];
        for (int i = 0; i < 10; i++) await Broker.PublishAsync("t", large, CancellationToken.None);
        using SqliteConnection connection = SqliteSchema.Open(Options.Path);
        SqliteSchema.Run(connection, "PRAGMA mmap_size=0"); // pages of a mapped file are not counted
        using var statements = new SqliteStatements(connection);
        long groupId = SqliteLeases.Join(statements, "t", Group, 0);
        const int cacheMiss = 8; // SQLITE_DBSTATUS_CACHE_MISS

        Taken taken = SqliteLeases.Take(statements, "t", Group, groupId, 1, 1, 1000, 0, 1);

        Assert.InRange(taken.Count, 100, 200); // 16 MiB
        SQLitePCL.raw.sqlite3_db_status(connection.Handle!, cacheMiss, out int pagesRead, out _, 0);
        Assert.InRange(pagesRead, 1, 3_000); // the thousand messages are 25,000 pages
    }

    // Work that SQLite's virtual machine has done for the statements of a connection: the same on any machine, unlike time.
    private static long Steps(SqliteConnection connection)
    {
        long steps = 0;
        SQLitePCL.sqlite3_stmt? statement = null;
        while ((statement = SQLitePCL.raw.sqlite3_next_stmt(connection.Handle!, statement)) is not null)
        {
            steps += SQLitePCL.raw.sqlite3_stmt_status(statement, SQLitePCL.raw.SQLITE_STMTSTATUS_VM_STEP, 0);
        }

        return steps;
    }

    [Fact]
    public void A_file_of_a_newer_version_is_refused()
    {
        using (SqliteConnection connection = SqliteSchema.Open(Options.Path)) SqliteSchema.Run(connection, "PRAGMA user_version=99");

        var error = Assert.Throws<BrokerException>(() => OpenWith(Options));

        Assert.Contains("99", error.Message, StringComparison.Ordinal);
    }

    private async Task UntilAsync(string query, Predicate<long> reached)
    {
        using SqliteConnection connection = SqliteSchema.Open(Options.Path);
        long value = 0;
        for (int i = 0; i < 400; i++)
        {
            value = SqliteSchema.Scalar(connection, query) as long? ?? 0;
            if (reached(value)) return;
            await Task.Delay(25);
        }

        Assert.Fail($"{query} stayed at {value}");
    }
}
