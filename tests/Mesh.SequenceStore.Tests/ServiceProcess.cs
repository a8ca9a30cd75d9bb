using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Mesh.Testing;

namespace Mesh.SequenceStore.Tests;

/// <summary>The built service as a process of its own, behind a real sidecar with SQLite files in a folder. It can be killed.</summary>
internal sealed class ServiceProcess : IAsyncDisposable
{
    private static readonly TimeSpan ReadyTimeout = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();
    private readonly ConcurrentQueue<string> _output = new();
    private readonly int _port = FreePort();
    private EmbeddedSidecar? _sidecar;
    private Process? _process;

    public EmbeddedSidecar Sidecar => _sidecar!;

    public string Output => string.Join('\n', _output);

    public static async Task<ServiceProcess> StartAsync()
    {
        var service = new ServiceProcess();
        service._folder.Write("statestore.yaml", StateStore);
        service._folder.Write("pubsub.yaml", PubSub);
        service._sidecar = await EmbeddedSidecar.StartAsync("sequence-store", service._folder.Path, service._port, waitUntilReady: false);
        service.StartProcess();
        await service.ReadyAsync();
        return service;
    }

    /// <summary>kill -9, then the same service again behind the same sidecar.</summary>
    public async Task KillAndRestartAsync()
    {
        _process!.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
        StartProcess();
        await ReadyAsync();
    }

    /// <summary>Delivers events in bulk, as the broker's side of the sidecar does; returns each entry's status.</summary>
    public async Task<string[]> DeliverAsync(IEnumerable<Contracts.Engagement> events)
    {
        using var client = new HttpClient();
        using var body = new StringContent(Deliveries.Body(events), System.Text.Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await client.PostAsync($"http://127.0.0.1:{_port}/topics/{Contracts.Topics.Engagements}", body);
        return Deliveries.Statuses(await response.Content.ReadAsStringAsync());
    }

    /// <summary>Calls the service as the gateway does: through the sidecar.</summary>
    public async Task<HttpResponseMessage> InvokeAsync(HttpMethod method, string path, IMessage? message = null)
    {
        using var request = new HttpRequestMessage(method, $"v1.0/invoke/sequence-store/method/{path}");
        if (message is not null)
        {
            request.Content = new ByteArrayContent(message.ToByteArray());
            request.Content.Headers.ContentType = new(Hosting.ProtobufBody.ContentType);
        }

        return await Sidecar.Http.SendAsync(request);
    }

    public async Task<T> GetAsync<T>(string path) where T : IMessage<T>, new()
    {
        using HttpResponseMessage response = await InvokeAsync(HttpMethod.Get, path);
        byte[] body = await response.Content.ReadAsByteArrayAsync();
        Assert.True(response.IsSuccessStatusCode, $"{path}: {response.StatusCode} {System.Text.Encoding.UTF8.GetString(body)}\n{Output}");
        return new MessageParser<T>(() => new T()).ParseFrom(body);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
        }

        if (_sidecar is not null) await _sidecar.DisposeAsync();
        _folder.Dispose();
    }

    private void StartProcess()
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "sequence-store.dll"));
        start.Environment["APP_PORT"] = _port.ToString(CultureInfo.InvariantCulture);
        start.Environment["DAPR_HTTP_PORT"] = Sidecar.HttpPort.ToString(CultureInfo.InvariantCulture);
        start.Environment["DAPR_GRPC_PORT"] = Sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture);
        start.Environment["MESH_PARENT_PID"] = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        _process = Process.Start(start) ?? throw new InvalidOperationException("The service did not start.");
        _process.OutputDataReceived += (_, line) => _output.Enqueue(line.Data ?? "");
        _process.ErrorDataReceived += (_, line) => _output.Enqueue(line.Data ?? "");
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    private async Task ReadyAsync()
    {
        using var client = new HttpClient();
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                using HttpResponseMessage response = await client.GetAsync($"http://127.0.0.1:{_port}/healthz");
                if (response.IsSuccessStatusCode) break;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }

            Assert.False(_process!.HasExited, $"The service ended with {(_process.HasExited ? _process.ExitCode : 0)}:\n{Output}");
            Assert.True(Stopwatch.GetElapsedTime(started) < ReadyTimeout, $"The service was not ready within {ReadyTimeout}:\n{Output}");
            await Task.Delay(50);
        }

        await Sidecar.Server.Ready.WaitAsync(ReadyTimeout);
    }

    private const string StateStore = """
        apiVersion: dapr.io/v1alpha1
        kind: Component
        metadata:
          name: statestore
        spec:
          type: state.sqlite
          version: v1
          metadata:
            - name: connectionString
              value: "state.db"
            - name: actorStateStore
              value: "true"
        """;

    private const string PubSub = """
        apiVersion: dapr.io/v1alpha1
        kind: Component
        metadata:
          name: pubsub
        spec:
          type: pubsub.sqlite
          version: v1
          metadata:
            - name: connectionString
              value: "pubsub.db"
        """;

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
