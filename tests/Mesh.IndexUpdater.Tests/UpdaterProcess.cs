using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
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
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();
    private readonly SharedRuntime _shared = new();
    private readonly Lock _gate = new();
    private readonly List<(IndexDelta Delta, long ReceivedMs)> _received = [];
    private readonly StringBuilder _output = new();
    private readonly int _port = FreePort();
    private HttpClient _http = null!;
    private EmbeddedSidecar _sidecar = null!;
    private EmbeddedSidecar _readerSidecar = null!;
    private TestApp _reader = null!;
    private Process _process = null!;

    /// <summary>Deltas as the reader got them, in order of arrival, redeliveries included, with the time of each.</summary>
    public IReadOnlyList<(IndexDelta Delta, long ReceivedMs)> Received
    {
        get
        {
            lock (_gate) return [.. _received];
        }
    }

    public string Output
    {
        get
        {
            lock (_output) return _output.ToString();
        }
    }

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
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    public async Task StartProcessAsync()
    {
        var start = new ProcessStartInfo("dotnet", [MeshHost.BuiltAssembly("index-updater")]) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["APP_PORT"] = _port.ToString(CultureInfo.InvariantCulture);
        start.Environment["DAPR_HTTP_PORT"] = _sidecar.HttpPort.ToString(CultureInfo.InvariantCulture);
        start.Environment["DAPR_GRPC_PORT"] = _sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture);
        start.Environment["MESH_PARENT_PID"] = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        start.Environment["IndexUpdater__FirstSnapshotAfterSeconds"] = "1";
        start.Environment["IndexUpdater__SnapshotPeriodSeconds"] = "2";
        start.Environment["IndexUpdater__CodesPerLevel"] = "16";
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await UntilAsync(async () => (await _http.GetAsync("healthz")).IsSuccessStatusCode, "the service listens");
    }

    /// <summary>Publishes as the gateway does: when it returns, the broker holds every message.</summary>
    public async Task PublishAsync(string topic, IReadOnlyList<IMessage> messages)
    {
        foreach (IMessage message in messages)
        {
            await _sidecar.Dapr.PublishByteEventAsync(Components.PubSub, topic, System.Text.Encoding.UTF8.GetBytes(ProtobufJson.Format(message)), "application/json");
        }
    }

    /// <summary>A message of the service, or null where it answers 404 or is not up.</summary>
    public async Task<T?> GetAsync<T>(string path) where T : class, IMessage<T>, new()
    {
        try
        {
            using HttpResponseMessage response = await _http.GetAsync(path);
            return response.IsSuccessStatusCode ? new MessageParser<T>(() => new T()).ParseFrom(await response.Content.ReadAsByteArrayAsync()) : null;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    public async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                if (await condition()) return;
            }
            catch (HttpRequestException)
            {
                // Not up yet.
            }

            if (Stopwatch.GetElapsedTime(started) > Patience) throw new TimeoutException($"Not within {Patience.TotalSeconds:0} s: {what}.\n{Output}");
            await Task.Delay(25);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            try
            {
                await KillAsync();
            }
            catch (InvalidOperationException)
            {
                // Killed by the test itself.
            }
        }

        if (_sidecar is not null) await _sidecar.DisposeAsync();
        if (_readerSidecar is not null) await _readerSidecar.DisposeAsync();
        if (_reader is not null) await _reader.DisposeAsync();
        await _shared.DisposeAsync();
        _http?.Dispose();
        _folder.Dispose();
    }

    private async Task StartAllAsync()
    {
        _folder.Write("statestore.yaml", Component("statestore", "state.sqlite", ("connectionString", "state.db"), ("actorStateStore", "true")));
        _folder.Write("pubsub.yaml", Component("pubsub", "pubsub.sqlite", ("connectionString", "pubsub.db")));
        _folder.Write("deltas.yaml", Component("deltas", "pubsub.sqlite", ("connectionString", "pubsub.db"), ("consumerID", "{uuid}")));
        _folder.Write("snapshots.yaml", Component("snapshots", "bindings.localstorage", ("rootPath", Path.Combine(_folder.Path, "snapshots"))));
        _http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri($"http://127.0.0.1:{_port}/") };

        _reader = await TestApp.StartAsync(app =>
        {
            app.MapSubscribeHandler();
            app.MapBulkTopic<IndexDeltaBatch>(Components.DeltaPubSub, Topics.IndexDeltas, ReceiveAsync, awaitMs: 10);
        });
        _readerSidecar = await EmbeddedSidecar.StartAsync("reader", _folder.Path, _reader.Port, _shared);
        _sidecar = await EmbeddedSidecar.StartAsync(AppIds.IndexUpdater, _folder.Path, _port, _shared, waitUntilReady: false);
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

    private void Keep(string? line)
    {
        lock (_output)
        {
            if (line is not null && _output.Length < 200_000) _output.AppendLine(line);
        }
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

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
