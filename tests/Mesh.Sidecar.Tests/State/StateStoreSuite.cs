using System.Text;
using Mesh.Sidecar.State;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Sidecar.Tests.State;

/// <summary>What every state store does, whatever holds its values.</summary>
public abstract class StateStoreSuite : IAsyncLifetime
{
    protected FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));

    protected IStateStore Store { get; private set; } = null!;

    protected abstract Task<IStateStore> OpenAsync();

    protected abstract Task CloseAsync();

    public async Task InitializeAsync() => Store = await OpenAsync();

    public Task DisposeAsync() => CloseAsync();

    [Fact]
    public async Task A_key_never_written_has_no_value()
    {
        Assert.Null(await Store.GetAsync("absent", default));
    }

    [Fact]
    public async Task Bytes_come_back_as_they_went_in()
    {
        byte[] everyByte = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];

        await Store.WriteAsync([new StateWrite("k", everyByte)], default);

        Assert.Equal(everyByte, (await Store.GetAsync("k", default))!.Value.ToArray());
    }

    [Fact]
    public async Task An_empty_value_is_a_value()
    {
        await Store.WriteAsync([new StateWrite("k", Array.Empty<byte>())], default);

        Assert.Equal(0, (await Store.GetAsync("k", default))!.Value.Length);
    }

    [Fact]
    public async Task Json_text_comes_back_byte_for_byte()
    {
        byte[] json = Encoding.UTF8.GetBytes("""{"ünï":"コード","n":1.50}""");

        await Store.WriteAsync([new StateWrite("k", json, IsJson: true)], default);

        Assert.Equal(json, (await Store.GetAsync("k", default))!.Value.ToArray());
    }

    [Fact]
    public async Task Every_write_gives_a_new_etag()
    {
        await PutAsync("k", "1");
        string first = (await Store.GetAsync("k", default))!.ETag;
        await PutAsync("k", "1");

        Assert.NotEqual(first, (await Store.GetAsync("k", default))!.ETag);
    }

    [Fact]
    public async Task A_write_with_the_stored_etag_passes_and_with_an_older_one_conflicts()
    {
        await PutAsync("k", "1");
        string etag = (await Store.GetAsync("k", default))!.ETag;

        await Store.WriteAsync([new StateWrite("k", Bytes("2"), etag)], default);
        var conflict = await Assert.ThrowsAsync<StateConflictException>(() => Store.WriteAsync([new StateWrite("k", Bytes("3"), etag)], default));

        Assert.Equal("k", conflict.Key);
        Assert.Equal("2", await TextAsync("k"));
    }

    [Fact]
    public async Task A_write_with_an_etag_conflicts_where_the_key_does_not_exist()
    {
        await Assert.ThrowsAsync<StateConflictException>(() => Store.WriteAsync([new StateWrite("k", Bytes("1"), "made-up")], default));

        Assert.Null(await Store.GetAsync("k", default));
    }

    [Fact]
    public async Task A_delete_checks_its_etag()
    {
        await PutAsync("k", "1");
        string etag = (await Store.GetAsync("k", default))!.ETag;

        await Assert.ThrowsAsync<StateConflictException>(() => Store.WriteAsync([new StateWrite("k", null, "another")], default));
        await Store.WriteAsync([new StateWrite("k", null, etag)], default);

        Assert.Null(await Store.GetAsync("k", default));
    }

    [Fact]
    public async Task Deleting_what_is_not_there_is_fine()
    {
        await Store.WriteAsync([new StateWrite("absent", null)], default);

        Assert.Null(await Store.GetAsync("absent", default));
    }

    [Fact]
    public async Task A_first_write_without_etag_passes_once()
    {
        await Store.WriteAsync([new StateWrite("k", Bytes("1"), FirstWrite: true)], default);

        await Assert.ThrowsAsync<StateConflictException>(() => Store.WriteAsync([new StateWrite("k", Bytes("2"), FirstWrite: true)], default));
        Assert.Equal("1", await TextAsync("k"));
    }

    [Fact]
    public async Task Of_many_concurrent_first_writes_exactly_one_passes()
    {
        Task<bool>[] attempts = [.. Enumerable.Range(0, 32).Select(i => Task.Run(() => TryAsync(new StateWrite("k", Bytes($"{i}"), FirstWrite: true))))];

        bool[] passed = await Task.WhenAll(attempts);

        Assert.Single(passed, true);
        Assert.Equal($"{Array.IndexOf(passed, true)}", await TextAsync("k"));
    }

    [Fact]
    public async Task A_transaction_that_conflicts_leaves_no_part_of_itself()
    {
        await PutAsync("a", "old");
        await PutAsync("b", "old");

        await Assert.ThrowsAsync<StateConflictException>(() => Store.WriteAsync(
            [new StateWrite("a", Bytes("new")), new StateWrite("b", null), new StateWrite("c", Bytes("new")), new StateWrite("d", Bytes("x"), "wrong")], default));

        Assert.Equal(["a", "b"], await Store.KeysAsync("", default));
        Assert.Equal("old old", $"{await TextAsync("a")} {await TextAsync("b")}");
    }

    [Fact]
    public async Task Writes_of_one_transaction_take_effect_in_order()
    {
        await Store.WriteAsync([new StateWrite("k", Bytes("1")), new StateWrite("k", null), new StateWrite("k", Bytes("3"), FirstWrite: true)], default);

        Assert.Equal("3", await TextAsync("k"));
    }

    [Fact]
    public async Task Calls_take_effect_in_the_order_they_are_made_without_waiting_for_each()
    {
        Task[] writes = [.. Enumerable.Range(0, 200).Select(i => PutAsync("k", $"{i}"))];
        await Task.WhenAll(writes);

        Assert.Equal("199", await TextAsync("k"));
    }

    [Fact]
    public async Task Bulk_reads_answer_in_the_order_of_the_keys_with_nulls_for_the_missing()
    {
        await PutAsync("a", "1");
        await PutAsync("c", "3");

        IReadOnlyList<StateItem?> items = await Store.GetBulkAsync(["c", "b", "a", "c"], default);

        Assert.Equal(["3", null, "1", "3"], items.Select(item => item is null ? null : Encoding.UTF8.GetString(item.Value.Span)));
    }

    [Fact]
    public async Task A_value_with_a_ttl_says_when_it_expires_and_is_gone_then()
    {
        await Store.WriteAsync([new StateWrite("k", Bytes("1"), Ttl: TimeSpan.FromSeconds(10))], default);

        DateTimeOffset? expires = (await Store.GetAsync("k", default))!.ExpiresAt;
        Clock.Advance(TimeSpan.FromSeconds(9));
        string? before = await TextAsync("k");
        Clock.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(new DateTimeOffset(2026, 3, 1, 12, 0, 10, TimeSpan.Zero), expires);
        Assert.Equal("1", before);
        Assert.Null(await Store.GetAsync("k", default));
        Assert.Null((await Store.GetBulkAsync(["k"], default))[0]);
        Assert.Empty(await Store.KeysAsync("k", default));
    }

    [Fact]
    public async Task Writing_again_without_a_ttl_keeps_the_value_for_ever()
    {
        await Store.WriteAsync([new StateWrite("k", Bytes("1"), Ttl: TimeSpan.FromSeconds(10))], default);
        await PutAsync("k", "2");
        Clock.Advance(TimeSpan.FromDays(400));

        StateItem? item = await Store.GetAsync("k", default);
        Assert.Null(item!.ExpiresAt);
        Assert.Equal("2", await TextAsync("k"));
    }

    [Fact]
    public async Task An_expired_key_counts_as_absent_for_conditions()
    {
        await Store.WriteAsync([new StateWrite("k", Bytes("1"), Ttl: TimeSpan.FromSeconds(10))], default);
        string etag = (await Store.GetAsync("k", default))!.ETag;
        Clock.Advance(TimeSpan.FromSeconds(11));

        Assert.False(await TryAsync(new StateWrite("k", Bytes("2"), etag)));
        Assert.True(await TryAsync(new StateWrite("k", Bytes("3"), FirstWrite: true)));
    }

    [Fact]
    public async Task Keys_lists_a_prefix_in_order_and_nothing_beside_it()
    {
        foreach (string key in new[] { "r||b", "r||a", "r||c", "r|", "r", "r}", "q||a", "s", "r||é", "r||\U0001F600" }) await PutAsync(key, "1");

        Assert.Equal(["r||a", "r||b", "r||c", "r||é", "r||\U0001F600"], await Store.KeysAsync("r||", default));
        Assert.Equal(10, (await Store.KeysAsync("", default)).Count);
        Assert.Empty(await Store.KeysAsync("r||a||", default));
    }

    [Fact]
    public async Task A_write_taken_back_before_it_began_is_not_made()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.WriteAsync([new StateWrite("k", Bytes("1"))], cancelled.Token));

        Assert.Null(await Store.GetAsync("k", default));
    }

    // Against a plain dictionary that is right by inspection: random sets, deletes, conditions and transactions.
    [Fact]
    public async Task A_random_history_agrees_with_a_plain_map()
    {
        var random = new Random(7);
        var model = new Dictionary<string, string>();
        for (int step = 0; step < 400; step++)
        {
            List<StateWrite> writes = [];
            var after = new Dictionary<string, string>(model);
            bool conflict = false;
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                string key = $"k{random.Next(6)}";
                bool first = random.Next(4) == 0;
                conflict |= first && after.ContainsKey(key);
                if (random.Next(3) == 0)
                {
                    writes.Add(new StateWrite(key, null, FirstWrite: first));
                    after.Remove(key);
                }
                else
                {
                    writes.Add(new StateWrite(key, Bytes($"{step}"), FirstWrite: first));
                    after[key] = $"{step}";
                }
            }

            Assert.Equal(!conflict, await TryAsync([.. writes]));
            if (!conflict) model = after;
        }

        Dictionary<string, string?> stored = [];
        foreach (string key in await Store.KeysAsync("", default)) stored[key] = await TextAsync(key);
        Assert.Equal(model.OrderBy(pair => pair.Key), stored.OrderBy(pair => pair.Key).Select(pair => KeyValuePair.Create(pair.Key, pair.Value!)));
    }

    protected static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    protected Task PutAsync(string key, string text) => Store.WriteAsync([new StateWrite(key, Bytes(text))], default);

    protected async Task<string?> TextAsync(string key) =>
        await Store.GetAsync(key, default) is { } item ? Encoding.UTF8.GetString(item.Value.Span) : null;

    private async Task<bool> TryAsync(params StateWrite[] writes)
    {
        try
        {
            await Store.WriteAsync(writes, default);
            return true;
        }
        catch (StateConflictException)
        {
            return false;
        }
    }
}
