using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Sidecar.Runtime;
using Mesh.Testing;
using Microsoft.AspNetCore.Builder;

namespace Mesh.IndexUpdater.Tests;

/// <summary>
/// The service as a process of its own behind a real sidecar with SQLite state, a SQLite broker and snapshot files; a second
/// app with its own sidecar receives the deltas. Nothing is replaced, so that the process can be killed.
/// </summary>
internal sealed class UpdaterProcess : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly SharedRuntime _shared = new();
    private readonly Lock _gate = new();
    private readonly List<(IndexDelta Delta, long ReceivedMs)> _received = [];
    private readonly List<(ServiceProcess Process, EmbeddedSidecar Sidecar)> _replicas = [];
    private EmbeddedSidecar _sidecar = null!;
    private EmbeddedSidecar _readerSidecar = null!;
    private TestApp _reader = null!;
    private ServiceProcess _process = null!;

    /// <summary>Deltas as the reader got them, in order of arrival, redeliveries included, with the time of each.</summary>
    public IReadOnlyList<(IndexDelta Delta, long ReceivedMs)> Received
    {
        get
        {
            lock (_gate) return [.. _received];
        }
    }

    public ServiceProcess Process => _process;

    public static long NowMs => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();

    public static async Task<UpdaterProcess> StartAsync()
    {
        var updater = new UpdaterProcess();
        try
        {
            await updater.StartAllAsync();
            return updater;
        }
        catch
        {
            await updater.DisposeAsync();
            throw;
        }
    }

    /// <summary>SIGKILL: no shutdown code runs.</summary>
    public Task KillAsync() => _process.KillAsync();

    public Task StartProcessAsync() => _process.StartAsync();

    /// <summary>A replica of retrieval as a process, with a sidecar of its own.</summary>
    public async Task<ServiceProcess> StartReplicaAsync(string appId)
    {
        int port = ServiceProcess.FreePort();
        EmbeddedSidecar sidecar = await EmbeddedSidecar.StartAsync(appId, _folder.Path, port, _shared, waitUntilReady: false);
        var process = new ServiceProcess("retrieval", sidecar, port, new Dictionary<string, string> { ["Retrieval__ProbeIntervalMs"] = "200", ["Retrieval__BackoffMaxMs"] = "200" });
        _replicas.Add((process, sidecar));
        await process.StartAsync();
        return process;
    }

    /// <summary>Publishes as the gateway does: when it returns, the broker holds every message.</summary>
    public async Task PublishAsync(string topic, IReadOnlyList<IMessage> messages)
    {
        foreach (IMessage message in messages)
        {
            await _sidecar.Dapr.PublishByteEventAsync(Components.PubSub, topic, System.Text.Encoding.UTF8.GetBytes(ProtobufJson.Format(message)), "application/json");
        }
    }

    public Task<T?> GetAsync<T>(string path) where T : class, IMessage<T>, new() => _process.GetAsync<T>(path);

    public Task UntilAsync(Func<Task<bool>> condition, string what) => _process.UntilAsync(condition, what);

    public async ValueTask DisposeAsync()
    {
        foreach ((ServiceProcess process, EmbeddedSidecar sidecar) in _replicas)
        {
            await process.DisposeAsync();
            await sidecar.DisposeAsync();
        }

        if (_process is not null) await _process.DisposeAsync();
        if (_sidecar is not null) await _sidecar.DisposeAsync();
        if (_readerSidecar is not null) await _readerSidecar.DisposeAsync();
        if (_reader is not null) await _reader.DisposeAsync();
        await _shared.DisposeAsync();
        _folder.Dispose();
    }

    private async Task StartAllAsync()
    {
        _folder.Write("statestore.yaml", Component("statestore", "state.sqlite", ("connectionString", "state.db"), ("actorStateStore", "true")));
        _folder.Write("pubsub.yaml", Component("pubsub", "pubsub.sqlite", ("connectionString", "pubsub.db")));
        _folder.Write("deltas.yaml", Component("deltas", "pubsub.sqlite", ("connectionString", "pubsub.db"), ("consumerID", "{uuid}")));
        _folder.Write("snapshots.yaml", Component("snapshots", "bindings.localstorage", ("rootPath", Path.Combine(_folder.Path, "snapshots"))));

        _reader = await TestApp.StartAsync(app =>
        {
            app.MapSubscribeHandler();
            app.MapBulkTopic<IndexDeltaBatch>(Components.DeltaPubSub, Topics.IndexDeltas, ReceiveAsync, awaitMs: 10);
        });
        _readerSidecar = await EmbeddedSidecar.StartAsync("reader", _folder.Path, _reader.Port, _shared);
        int port = ServiceProcess.FreePort();
        _sidecar = await EmbeddedSidecar.StartAsync(AppIds.IndexUpdater, _folder.Path, port, _shared, waitUntilReady: false);
        _process = new ServiceProcess("index-updater", _sidecar, port, new Dictionary<string, string>
        {
            ["IndexUpdater__FirstSnapshotAfterSeconds"] = "1", ["IndexUpdater__SnapshotPeriodSeconds"] = "2", ["IndexUpdater__CodesPerLevel"] = "16",
        });
        await StartProcessAsync();
    }

    private Task<IReadOnlyList<Delivery>> ReceiveAsync(IReadOnlyList<IndexDeltaBatch> batches, CancellationToken cancellation)
    {
        long now = NowMs;
        lock (_gate)
        {
            foreach (IndexDelta delta in batches.SelectMany(batch => batch.Deltas)) _received.Add((delta, now));
        }

        return Task.FromResult<IReadOnlyList<Delivery>>([.. batches.Select(_ => Delivery.Success)]);
    }

    private static string Component(string name, string type, params (string Name, string Value)[] metadata) =>
        $"""
        apiVersion: dapr.io/v1alpha1
        kind: Component
        metadata:
          name: {name}
        spec:
          type: {type}
          version: v1
          metadata:{string.Concat(metadata.Select(item => $"\n  - name: {item.Name}\n    value: \"{item.Value}\""))}

        """;
}
