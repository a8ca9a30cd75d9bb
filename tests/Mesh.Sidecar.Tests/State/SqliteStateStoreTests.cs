using Mesh.Sidecar.Sqlite;
using Mesh.Sidecar.State;
using Mesh.Testing;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.Tests.State;

public sealed class SqliteStateStoreTests : StateStoreSuite
{
    private readonly TempFolder _folder = new();
    private SqliteStateStore _store = null!;

    private string File => Path.Combine(_folder.Path, "state.db");

    protected override Task<IStateStore> OpenAsync()
    {
        _store = Open();
        return Task.FromResult<IStateStore>(_store);
    }

    protected override async Task CloseAsync()
    {
        await _store.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Values_etags_and_expiry_survive_a_restart()
    {
        await Store.WriteAsync([new StateWrite("k", Bytes("1"), Ttl: TimeSpan.FromMinutes(5)), new StateWrite("j", Bytes("{}"), IsJson: true)], default);
        StateItem before = (await Store.GetAsync("k", default))!;

        await _store.DisposeAsync();
        _store = Open();
        StateItem after = (await _store.GetAsync("k", default))!;

        Assert.Equal((before.ETag, before.ExpiresAt), (after.ETag, after.ExpiresAt));
        Assert.Equal("1"u8.ToArray(), after.Value.ToArray());
        Assert.Equal("{}"u8.ToArray(), (await _store.GetAsync("j", default))!.Value.ToArray());
    }

    [Fact]
    public async Task Concurrent_writers_share_commits()
    {
        long before = _store.Commits;
        Task[] writers = [.. Enumerable.Range(0, 64).Select(writer => Task.Run(async () =>
        {
            for (int i = 0; i < 20; i++) await Store.WriteAsync([new StateWrite($"{writer}:{i}", Bytes("v"))], default);
        }))];
        await Task.WhenAll(writers);

        Assert.Equal(64 * 20, (await Store.KeysAsync("", default)).Count);
        // One each would be 1,280. Sharing is what makes many small writes affordable, so half of that is a failure.
        Assert.InRange(_store.Commits - before, 1, 640);
    }

    [Fact]
    public async Task A_conflict_in_a_shared_commit_fails_its_own_caller_only()
    {
        await PutAsync("taken", "1");
        Task<bool>[] calls = [.. Enumerable.Range(0, 100).Select(i => i % 10 == 0
            ? ConflictsAsync([new StateWrite($"part{i}", Bytes("x")), new StateWrite("taken", Bytes("2"), FirstWrite: true)])
            : ConflictsAsync([new StateWrite($"ok{i}", Bytes("x"))]))];

        bool[] conflicts = await Task.WhenAll(calls);

        Assert.Equal(Enumerable.Range(0, 100).Select(i => i % 10 == 0), conflicts);
        Assert.Equal(90, (await Store.KeysAsync("ok", default)).Count);
        Assert.Empty(await Store.KeysAsync("part", default));
    }

    [Fact]
    public async Task A_database_locked_by_another_process_is_an_error_and_nothing_is_acknowledged()
    {
        using SqliteConnection other = new SqliteFile(File).OpenWriter();
        other.Execute("BEGIN IMMEDIATE");

        var failure = await Assert.ThrowsAsync<StateStoreException>(() => PutAsync("k", "1"));
        other.Execute("ROLLBACK");
        await PutAsync("after", "1");

        Assert.Contains("locked", failure.Message, StringComparison.Ordinal);
        Assert.Null(await TextAsync("k"));
        Assert.Equal("1", await TextAsync("after"));
    }

    [Fact]
    public async Task A_full_disk_is_an_error_that_keeps_what_was_acknowledged_and_the_store_goes_on_when_there_is_space()
    {
        await _store.DisposeAsync();
        _store = Open(options => options with { Pragmas = ["PRAGMA max_page_count = 40"] });
        var acknowledged = new List<string>();
        StateStoreException? failure = null;
        for (int i = 0; i < 1_000 && failure is null; i++)
        {
            try
            {
                await _store.WriteAsync([new StateWrite($"k{i}", new byte[2_000])], default);
                acknowledged.Add($"k{i}");
            }
            catch (StateStoreException error)
            {
                failure = error;
            }
        }

        await _store.WriteAsync([.. acknowledged.Take(10).Select(key => new StateWrite(key, null))], default);
        await _store.WriteAsync([new StateWrite("after", Bytes("1"))], default);

        Assert.Contains("full", failure!.Message, StringComparison.Ordinal);
        Assert.Equal(acknowledged.Skip(10).Append("after").Order(StringComparer.Ordinal), await _store.KeysAsync("", default));
    }

    [Fact]
    public async Task Expired_rows_are_removed_by_the_cleanup()
    {
        await _store.DisposeAsync();
        _store = Open(options => options with { CleanupInterval = TimeSpan.FromMinutes(1) });
        await _store.WriteAsync([.. Enumerable.Range(0, 2_500).Select(i => new StateWrite($"k{i}", Bytes("1"), Ttl: TimeSpan.FromSeconds(1)))], default);
        await _store.WriteAsync([new StateWrite("stays", Bytes("1"))], default);

        Clock.Advance(TimeSpan.FromMinutes(1));

        await Eventually.EqualAsync(1L, () => CountRows(), "rows after the cleanup");
    }

    [Fact]
    public async Task The_file_has_the_tables_of_daprs_own_component()
    {
        await Store.WriteAsync([new StateWrite("app||bin", new byte[] { 1, 2, 3 }), new StateWrite("app||json", Bytes("{\"a\":1}"), IsJson: true)], default);

        using SqliteConnection reader = new SqliteFile(File).OpenReader();
        using SqliteCommand rows = reader.Prepare("SELECT key, value, is_binary FROM state ORDER BY key");
        using SqliteDataReader row = rows.ExecuteReader();
        var found = new List<(string, string, bool)>();
        while (row.Read()) found.Add((row.GetString(0), row.GetString(1), row.GetBoolean(2)));
        using SqliteCommand migration = reader.Prepare("SELECT value FROM metadata WHERE key = 'migrations'");

        Assert.Equal([("app||bin", "AQID", true), ("app||json", "{\"a\":1}", false)], found);
        Assert.Equal("1", migration.ExecuteScalar());
    }

    [Fact]
    public async Task Keys_of_a_prefix_are_found_through_the_index()
    {
        await PutAsync("k", "1");

        using SqliteConnection reader = new SqliteFile(File).OpenReader();
        using SqliteCommand plan = reader.Prepare("EXPLAIN QUERY PLAN SELECT key FROM state WHERE key >= 'a' AND key < 'b' ORDER BY key");
        using SqliteDataReader row = plan.ExecuteReader();
        Assert.True(row.Read());

        Assert.Contains("SEARCH state USING COVERING INDEX", row.GetString(3), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_closed_store_refuses_instead_of_hanging()
    {
        await _store.DisposeAsync();

        await Assert.ThrowsAsync<StateStoreException>(() => PutAsync("k", "1").WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [InlineData("a", "b")]
    [InlineData("r||", "r|}")]
    [InlineData("a\U0010FFFF", "b")]
    [InlineData("\uD7FF", "\uE000")]
    [InlineData("\U0010FFFF", null)]
    [InlineData("", null)]
    public void The_successor_of_a_prefix_is_the_least_text_above_all_it_starts(string prefix, string? successor)
    {
        Assert.Equal(successor, SqliteStateReader.Successor(prefix));
    }

    private SqliteStateStore Open(Func<SqliteStateOptions, SqliteStateOptions>? configure = null)
    {
        var options = new SqliteStateOptions { Path = File, BusyTimeout = TimeSpan.FromMilliseconds(100) };
        return SqliteStateStore.Open(configure?.Invoke(options) ?? options, Clock);
    }

    private long CountRows()
    {
        using SqliteConnection reader = new SqliteFile(File).OpenReader();
        using SqliteCommand count = reader.Prepare("SELECT count(*) FROM state");
        return (long)count.ExecuteScalar()!;
    }

    private async Task<bool> ConflictsAsync(StateWrite[] writes)
    {
        try
        {
            await Store.WriteAsync(writes, default);
            return false;
        }
        catch (StateConflictException)
        {
            return true;
        }
    }
}
