using Mesh.Contracts;
using Mesh.Retrieval.Index;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Deltas;

/// <summary>How far this replica is along the log. Written by the follower; read by health checks, status and metrics.</summary>
internal sealed class FollowerState(TimeProvider clock)
{
    private const long NotBehind = -1;

    private volatile bool _started;
    private ulong _head;
    private long _behindSinceMs = NotBehind;
    private long _lastLagMs;
    private volatile uint _shards;
    private volatile string _feedFault = "";

    /// <summary>Snapshot and replay are done; requests may come.</summary>
    public bool Started => _started;

    /// <summary>Newest sequence number known of.</summary>
    public ulong Head => Volatile.Read(ref _head);

    /// <summary>Shards that index-updater spreads items over; 0 = not heard yet.</summary>
    public uint Shards => _shards;

    public void MarkStarted() => _started = true;

    /// <summary>Notes what index-updater said of the topology.</summary>
    public void NoteShards(uint shards) => _shards = shards;

    /// <summary>Notes why index-updater could not be asked; empty = it could.</summary>
    public void NoteFeed(string fault) => _feedFault = fault;

    /// <param name="mayFall">The log itself said so, which may have been lost and begun again; a delivery may only be late.</param>
    public void NoteHead(ulong head, bool mayFall = false)
    {
        if (mayFall || head > Head) Volatile.Write(ref _head, head);
    }

    /// <summary>Notes where the index that serves stands; starts or ends the time of being behind.</summary>
    public void NoteApplied(ulong sequence)
    {
        if (sequence >= Head) Volatile.Write(ref _behindSinceMs, NotBehind);
        else if (Volatile.Read(ref _behindSinceMs) == NotBehind) Volatile.Write(ref _behindSinceMs, NowMs());
    }

    /// <summary>Notes the time from an event to now, when its delta became retrievable.</summary>
    public TimeSpan NoteLag(long eventTimeMs)
    {
        long lagMs = Math.Max(0, NowMs() - eventTimeMs);
        Volatile.Write(ref _lastLagMs, lagMs);
        return TimeSpan.FromMilliseconds(lagMs);
    }

    public long Behind(LiveIndex? index) => index is null || Head <= index.Sequence ? 0 : (long)(Head - index.Sequence);

    /// <summary>Why the replica should get no requests; null where it should.</summary>
    public string? NotReadyReason(LiveIndex? index, RetrievalOptions options)
    {
        if (!_started || index is null) return $"the snapshot and the deltas after it are still loading{(_feedFault.Length == 0 ? "" : $"; last trouble: {_feedFault}")}";
        long sinceMs = Volatile.Read(ref _behindSinceMs);
        if (sinceMs == NotBehind || NowMs() - sinceMs <= options.LagMaxSeconds * 1_000L) return null;
        return $"{Behind(index)} deltas behind for {(NowMs() - sinceMs) / 1_000} s; {options.LagMaxSeconds} s are allowed";
    }

    public RetrievalStatus Describe(LiveIndex? index, RetrievalOptions options) => new()
    {
        Shard = (uint)options.Shard,
        Shards = _shards,
        IndexVersion = index?.Origin.Version ?? "",
        ModelVersion = index?.ModelVersion ?? "",
        Sequence = index?.Sequence ?? 0,
        HeadSequence = Head,
        Items = index?.Items ?? 0,
        Tombstones = index?.Vectors.Tombstones ?? 0,
        Authors = index?.Authors.Authors ?? 0,
        IndexBytes = index?.Bytes ?? 0,
        LastDeltaLagMs = Volatile.Read(ref _lastLagMs),
        Ready = NotReadyReason(index, options) is null,
    };

    private long NowMs() => clock.GetUtcNow().ToUnixTimeMilliseconds();
}

/// <summary>Ready after snapshot and replay, and while not behind the log for longer than allowed.</summary>
internal sealed class IndexHealthCheck(IndexHolder holder, FollowerState state, IOptions<RetrievalOptions> options) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(state.NotReadyReason(holder.Current, options.Value) is { } reason ? HealthCheckResult.Unhealthy(reason) : HealthCheckResult.Healthy());
}
