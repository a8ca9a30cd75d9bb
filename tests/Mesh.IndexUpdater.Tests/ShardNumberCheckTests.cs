using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Shards;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Tests;

/// <summary>Whether the logs that are there fit the number of shards, asked at the start.</summary>
public sealed class ShardNumberCheckTests
{
    [Theory]
    [InlineData(2, 1, 0)]
    [InlineData(2, 1, 1)] // nothing was ever written to shard 0
    [InlineData(1, 3, 0)]
    public async Task Logs_of_another_number_of_shards_end_the_process(int written, int configured, uint shard)
    {
        await using var rig = new ShardRig(new IndexUpdaterOptions { Shards = written });
        await rig.ApplyAsync(rig.Upsert("a"));
        var state = new MovedState(rig.State, shard);

        (ShardNumberCheck check, Lifetime lifetime) = await RunAsync(state, configured);

        Assert.True(lifetime.IsStopped);
        Assert.Contains($"Shard {shard} was written when items were spread over {written} shards; IndexUpdater:Shards is {configured}", check.Fault, StringComparison.Ordinal);
        Assert.Contains($"Set it back to {written}", check.Fault, StringComparison.Ordinal);
        Assert.Equal(HealthStatus.Unhealthy, (await check.CheckHealthAsync(null!)).Status);
    }

    [Theory, InlineData(1), InlineData(64)]
    public async Task Logs_that_fit_or_are_not_there_make_it_ready(int shards)
    {
        await using var rig = new ShardRig(new IndexUpdaterOptions { Shards = shards });
        (ShardNumberCheck before, Lifetime lifetime) = await RunAsync(rig.State, shards);
        await rig.ApplyAsync(rig.Upsert("a"));
        (ShardNumberCheck after, _) = await RunAsync(rig.State, shards);

        Assert.All([before, after], check => Assert.Null(check.Fault));
        Assert.Equal(HealthStatus.Healthy, (await after.CheckHealthAsync(null!)).Status);
        Assert.False(lifetime.IsStopped);
    }

    [Fact]
    public async Task A_state_store_that_cannot_be_read_is_asked_again_and_named_until_it_can()
    {
        await using var rig = new ShardRig();
        var state = new MovedState(rig.State, 0) { IsDown = true };
        var check = new ShardNumberCheck(state, Options.Create(new IndexUpdaterOptions()), new Lifetime(), TimeProvider.System, NullLogger<ShardNumberCheck>.Instance);
        await check.StartAsync(default);
        await state.Asked.WaitAsync();
        await state.Asked.WaitAsync();

        HealthCheckResult down = await check.CheckHealthAsync(null!);
        state.IsDown = false;
        await check.ExecuteTask!;

        Assert.Equal(HealthStatus.Unhealthy, down.Status);
        Assert.Contains("the state store cannot be read: it is away", down.Description, StringComparison.Ordinal);
        Assert.Equal(HealthStatus.Healthy, (await check.CheckHealthAsync(null!)).Status);
    }

    private static async Task<(ShardNumberCheck Check, Lifetime Lifetime)> RunAsync(IShardState state, int shards)
    {
        var lifetime = new Lifetime();
        var check = new ShardNumberCheck(state, Options.Create(new IndexUpdaterOptions { Shards = shards }), lifetime, TimeProvider.System, NullLogger<ShardNumberCheck>.Instance);
        await check.StartAsync(default);
        await check.ExecuteTask!;
        return (check, lifetime);
    }

    /// <summary>The log of shard 0 under the number of another.</summary>
    private sealed class MovedState(MemoryShardState state, uint shard) : IShardState
    {
        public volatile bool IsDown;

        public SemaphoreSlim Asked { get; } = new(0);

        public Task<(byte[]? Value, string ETag)> GetAsync(string key, CancellationToken cancellation) => throw new NotSupportedException();

        public async Task<IReadOnlyDictionary<string, byte[]>> GetBulkAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation)
        {
            Asked.Release();
            if (IsDown) throw new InvalidOperationException("it is away");
            IReadOnlyDictionary<string, byte[]> heads = await state.GetBulkAsync(keys, cancellation);
            return heads.ToDictionary(head => head.Key == new LogKeys(0).Head ? new LogKeys(shard).Head : head.Key, head => head.Value);
        }

        public Task TransactAsync(IReadOnlyList<KeyValuePair<string, byte[]?>> writes, string fencedKey, string eTag, CancellationToken cancellation) =>
            throw new NotSupportedException();
    }

    private sealed class Lifetime : IHostApplicationLifetime
    {
        public bool IsStopped { get; private set; }

        public CancellationToken ApplicationStarted => default;

        public CancellationToken ApplicationStopping => default;

        public CancellationToken ApplicationStopped => default;

        public void StopApplication() => IsStopped = true;
    }
}
