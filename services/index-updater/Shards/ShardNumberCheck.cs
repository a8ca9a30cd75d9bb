using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Deltas;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Reads the heads of all logs there may be, once, at the start. Where one was written with another number of shards the process ends and says so:
/// it could store nothing, and as long as it took events and refused them they would go to the dead letters, where those for an app that is down wait.
/// Ready once the logs are known to fit; until then the state store is asked again and again.
/// </summary>
internal sealed class ShardNumberCheck(
    IShardState state, IOptions<IndexUpdaterOptions> options, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger<ShardNumberCheck> logger)
    : BackgroundService, IHealthCheck
{
    /// <summary>Shards there may be, so that logs past the number configured are found too.</summary>
    public const int ShardsMax = 64;

    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(500);

    private volatile string _waitsFor = "the heads of the logs have not been read yet";

    /// <summary>Why the process ends; null where it does not.</summary>
    public string? Fault { get; private set; }

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(_waitsFor.Length == 0 ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy(_waitsFor));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                Decide(await FaultAsync(stoppingToken));
                return;
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                _waitsFor = $"the state store cannot be read: {exception.Message}";
                await Task.Delay(s_pause, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Decide(string? fault)
    {
        _waitsFor = fault ?? "";
        if (fault is null) return;
        Fault = fault;
        Log.ShardsRefused(logger, fault);
        lifetime.StopApplication();
    }

    private async Task<string?> FaultAsync(CancellationToken cancellation)
    {
        LogKeys[] logs = [.. Enumerable.Range(0, ShardsMax).Select(shard => new LogKeys((uint)shard))];
        IReadOnlyDictionary<string, byte[]> heads = await state.GetBulkAsync([.. logs.Select(log => log.Head)], cancellation);
        foreach (LogKeys log in logs)
        {
            if (heads.TryGetValue(log.Head, out byte[]? head) && log.FaultOf(IndexLogHead.Parser.ParseFrom(head), options.Value.Shards) is { } fault) return fault;
        }

        return null;
    }
}
