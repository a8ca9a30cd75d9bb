using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Net;
using System.Text;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Testing;

namespace Mesh.IndexUpdater.Tests;

/// <summary>A built service as a process of its own behind a sidecar of the test's process: it can be killed and started again where it was.</summary>
internal sealed class ServiceProcess(string project, RunningSidecar sidecar, int port, IReadOnlyDictionary<string, string> settings) : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly StringBuilder _output = new();
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri($"http://127.0.0.1:{port}/") };
    private Process? _process;

    public string Output
    {
        get
        {
            lock (_output) return _output.ToString();
        }
    }

    /// <summary>A port that is free now.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Starts it and returns once it listens.</summary>
    public async Task StartAsync(IReadOnlyDictionary<string, string>? otherSettings = null)
    {
        Launch(otherSettings);
        await UntilAsync(async () => (await _http.GetAsync("healthz")).IsSuccessStatusCode, $"{project} listens");
    }

    /// <summary>Starts it without waiting.</summary>
    public void Launch(IReadOnlyDictionary<string, string>? otherSettings = null)
    {
        var start = new ProcessStartInfo("dotnet", [MeshHost.BuiltAssembly(project)]) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["APP_PORT"] = port.ToString(CultureInfo.InvariantCulture);
        start.Environment["DAPR_HTTP_PORT"] = sidecar.HttpPort.ToString(CultureInfo.InvariantCulture);
        start.Environment["DAPR_GRPC_PORT"] = sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture);
        start.Environment["MESH_PARENT_PID"] = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        foreach ((string name, string value) in settings.Concat(otherSettings ?? new Dictionary<string, string>())) start.Environment[name] = value;
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>SIGKILL: no shutdown code runs. Nothing where it does not run.</summary>
    public async Task KillAsync()
    {
        if (_process is not { } process) return;
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
        _process = null;
    }

    /// <summary>Waits until it ends by itself.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> EndAsync()
    {
        Process process = _process ?? throw new InvalidOperationException($"{project} does not run.");
        await process.WaitForExitAsync().WaitAsync(Patience);
        int code = process.ExitCode;
        process.Dispose();
        _process = null;
        return code;
    }

    /// <summary>A message of the service, or null where it answers with a fault or is not up.</summary>
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

    public Task UntilAsync(Func<Task<bool>> condition, string what) => UntilAsync(condition, () => what);

    /// <param name="what">Asked where it did not come true, so that it can tell what was seen last.</param>
    public async Task UntilAsync(Func<Task<bool>> condition, Func<string> what)
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

            if (Stopwatch.GetElapsedTime(started) > Patience) throw new TimeoutException($"Not within {Patience.TotalSeconds:0} s: {what()}.\n{Output}");
            await Task.Delay(25);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _http.Dispose();
    }

    private void Keep(string? line)
    {
        lock (_output)
        {
            if (line is not null && _output.Length < 200_000) _output.AppendLine(line);
        }
    }
}
