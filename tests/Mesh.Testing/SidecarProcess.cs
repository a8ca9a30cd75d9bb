using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Mesh.Testing;

/// <summary>
/// A sidecar as a process of its own, started with daprd's flags: our executable, or a real daprd. It can be killed.
/// </summary>
public sealed class SidecarProcess : RunningSidecar
{
    private readonly Process _process;
    private readonly List<string> _output;

    private SidecarProcess(string appId, Process process, List<string> output, int httpPort, int grpcPort)
    {
        AppId = appId;
        _process = process;
        _output = output;
        HttpPort = httpPort;
        GrpcPort = grpcPort;
    }

    public override string AppId { get; }

    public override int HttpPort { get; }

    public override int GrpcPort { get; }

    /// <summary>What it has written so far, both streams.</summary>
    public string Output
    {
        get
        {
            lock (_output) return string.Join('\n', _output);
        }
    }

    /// <summary>Our own sidecar's executable, built beside this assembly's project reference.</summary>
    public static string OwnExecutable => Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "sidecar.exe" : "sidecar");

    /// <summary>Starts it and waits until <c>/v1.0/healthz</c> says ready.</summary>
    /// <param name="folder">Holds the resource files, and is its working directory, so that data lands there.</param>
    public static async Task<SidecarProcess> StartAsync(
        string executable, string appId, string folder, int? appPort = null, IEnumerable<string>? flags = null, IDictionary<string, string>? environment = null)
    {
        int[] ports = FreePorts(4);
        var start = new ProcessStartInfo(executable) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        string[] arguments =
        [
            "--app-id", appId, "--resources-path", folder, "--dapr-http-port", Text(ports[0]), "--dapr-grpc-port", Text(ports[1]),
            "--dapr-internal-grpc-port", Text(ports[2]), "--metrics-port", Text(ports[3]),
            .. appPort is { } port ? ["--app-port", Text(port)] : Array.Empty<string>(), .. flags ?? [],
        ];
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;

        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{executable} did not start.");
        var output = new List<string>();
        process.OutputDataReceived += (_, line) => Keep(output, line.Data);
        process.ErrorDataReceived += (_, line) => Keep(output, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var sidecar = new SidecarProcess(appId, process, output, ports[0], ports[1]);
        try
        {
            await sidecar.WaitUntilReadyAsync();
            return sidecar;
        }
        catch
        {
            await sidecar.DisposeAsync();
            throw;
        }
    }

    /// <summary>kill -9: nothing of it runs any more when this returns.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
    }

    /// <summary>Asks it to stop as an operator does (SIGTERM) and returns its exit code.</summary>
    public async Task<int> TerminateAsync()
    {
        using Process kill = Process.Start("kill", ["-TERM", Text(_process.Id)]);
        await kill.WaitForExitAsync();
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(20));
        return _process.ExitCode;
    }

    /// <summary>Waits until it has ended by itself and returns its exit code.</summary>
    public async Task<int> WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(20));
        return _process.ExitCode;
    }

    protected override async ValueTask StopAsync()
    {
        if (!_process.HasExited) await KillAsync();
        _process.Dispose();
    }

    private static void Keep(List<string> output, string? line)
    {
        if (line is null) return;
        lock (output) output.Add(line);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    // All bound at once and then let go, so that they differ.
    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in listeners) listener.Start();
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        foreach (TcpListener listener in listeners) listener.Dispose();
        return ports;
    }

    private async Task WaitUntilReadyAsync()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            if (_process.HasExited) throw new InvalidOperationException($"The sidecar ended with {_process.ExitCode}:\n{Output}");
            try
            {
                using HttpResponseMessage answer = await Http.GetAsync(new Uri("v1.0/healthz", UriKind.Relative), timeout.Token);
                if (answer.IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"The sidecar was not ready within 30 s:\n{Output}");
            }

            await Task.Delay(50, CancellationToken.None);
        }
    }
}
