using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Mesh.Testing;

/// <summary>How a test wants its host.</summary>
public sealed record MeshHostOptions
{
    /// <summary>Data directory; null = a new folder under the system's temporary one, deleted with the harness.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>Template; null = the repository's dapr.yaml.</summary>
    public string? File { get; init; }

    /// <summary>More flags, e.g. <c>--demo</c>.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Environment of the host, and through it of every service.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Whether the host starts with SIGINT ignored, as a job that a script puts in the background does. Otherwise it heeds SIGINT, even where the
    /// test's own process was started to ignore it: a process inherits that, and .NET leaves it so.
    /// </summary>
    public bool IgnoresInterrupt { get; init; }

    /// <summary>How long all services may take to be ready. Default 90 s: two cores, five services, other tests beside them.</summary>
    public TimeSpan ReadyTimeout { get; init; } = TimeSpan.FromSeconds(90);
}

/// <summary>One app as <c>run.json</c> describes it.</summary>
public sealed record MeshHostApp(string AppId, int Pid, string Url, int DaprHttpPort, int DaprGrpcPort, bool Ready);

/// <summary>
/// The built host as a child process, with real sidecars, services and SQLite files, on free ports and data of its own. One
/// test drives it; dispose it to stop everything and delete the data.
/// </summary>
public sealed class MeshHost : IAsyncDisposable
{
    private const int OutputLinesMax = 4_000;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    private readonly MeshHostOptions _options;
    private readonly bool _ownsData;
    private readonly Lock _gate = new();
    private readonly Queue<string> _output = new();
    private readonly List<MeshHostApp> _lastApps = [];
    private Process _process;
    private HttpClient? _http;

    private MeshHost(MeshHostOptions options)
    {
        _options = options;
        _ownsData = options.DataDirectory is null;
        DataDirectory = options.DataDirectory ?? Path.Combine(Path.GetTempPath(), $"feedmesh-{Guid.NewGuid():N}");
        _process = StartProcess([]);
    }

    public string DataDirectory { get; }

    /// <summary>Process id of the host.</summary>
    public int Pid => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Exit code of the host once it has ended.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>Base address of the public API, e.g. http://localhost:12345. The same after <see cref="RestartAsync"/>.</summary>
    public string GatewayUrl { get; private set; } = "";

    /// <summary>Calls the gateway: relative addresses, no proxy.</summary>
    public HttpClient Http => _http ?? throw new InvalidOperationException("The host is not ready.");

    /// <summary>What the host and the services wrote last.</summary>
    public string Output
    {
        get
        {
            lock (_gate) return string.Join('\n', _output);
        }
    }

    /// <summary>Starts the host and returns once every service is ready.</summary>
    /// <exception cref="TimeoutException">Something is not; the message holds the host's last output.</exception>
    public static async Task<MeshHost> StartAsync(MeshHostOptions? options = null)
    {
        var host = new MeshHost(options ?? new MeshHostOptions());
        try
        {
            await host.WaitUntilReadyAsync();
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the host without waiting: for tests of what it says and of how it ends.</summary>
    public static MeshHost Launch(MeshHostOptions? options = null) => new(options ?? new MeshHostOptions());

    /// <summary>Waits until <c>run.json</c> says that every app is ready.</summary>
    /// <exception cref="TimeoutException">It does not in time, or the host ended.</exception>
    public async Task WaitUntilReadyAsync()
    {
        long started = Stopwatch.GetTimestamp();
        while (ReadRun() is not { } apps || apps.Count == 0 || !apps.All(app => app.Ready))
        {
            if (_process.HasExited) throw new TimeoutException($"The host ended with {_process.ExitCode} before it was ready.\n{Output}");
            if (Stopwatch.GetElapsedTime(started) > _options.ReadyTimeout)
            {
                string missing = ReadRun() is { } run ? string.Join(", ", run.Where(app => !app.Ready).Select(app => app.AppId)) : "everything (there is no run.json)";
                throw new TimeoutException($"Not ready after {_options.ReadyTimeout.TotalSeconds:0} s: {missing}.\n{Output}");
            }

            await Task.Delay(Pause);
        }

        lock (_gate)
        {
            _lastApps.Clear();
            _lastApps.AddRange(ReadRun()!);
        }

        GatewayUrl = _lastApps.Find(app => app.AppId == "gateway")?.Url ?? "";
        if (GatewayUrl.Length == 0) return;
        _http?.Dispose();
        _http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri(GatewayUrl) };
    }

    /// <summary>An app as it is now.</summary>
    public MeshHostApp App(string appId) =>
        (ReadRun() ?? throw new InvalidOperationException("There is no run.json.")).FirstOrDefault(app => app.AppId == appId)
        ?? throw new ArgumentException($"There is no app {appId}.", nameof(appId));

    /// <summary>Process id of an app; 0 while it is down.</summary>
    public int AppPid(string appId) => App(appId).Pid;

    /// <summary>Kills one service (SIGKILL). The host starts it again; <see cref="WaitUntilAppRestartedAsync"/> waits for that.</summary>
    /// <returns>The process id that is gone.</returns>
    public int KillApp(string appId)
    {
        int pid = AppPid(appId);
        if (pid == 0) throw new InvalidOperationException($"{appId} is not running.");
        using Process process = Process.GetProcessById(pid);
        process.Kill();
        return pid;
    }

    /// <summary>Waits until an app is ready as another process than <paramref name="formerPid"/>.</summary>
    public async Task WaitUntilAppRestartedAsync(string appId, int formerPid)
    {
        long started = Stopwatch.GetTimestamp();
        while (App(appId) is var app && (app.Pid == formerPid || app.Pid == 0 || !app.Ready))
        {
            if (Stopwatch.GetElapsedTime(started) > _options.ReadyTimeout) throw new TimeoutException($"{appId} did not come back: {app}.\n{Output}");
            await Task.Delay(Pause);
        }
    }

    /// <summary>Kills the host (SIGKILL) and nothing else; its services notice and stop by themselves.</summary>
    public void KillHost()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>Asks the host to stop (SIGTERM) and waits for its end.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> StopAsync()
    {
        if (!_process.HasExited)
        {
            if (OperatingSystem.IsWindows()) _process.Kill(entireProcessTree: true);
            else await RunAsync("kill", "-TERM", _process.Id.ToString(CultureInfo.InvariantCulture));
        }

        await WaitForExitAsync();
        return _process.ExitCode;
    }

    /// <summary>Waits for the host's end.</summary>
    /// <exception cref="TimeoutException">It goes on running.</exception>
    public async Task WaitForExitAsync()
    {
        using var timeout = new CancellationTokenSource(StopTimeout);
        try
        {
            await _process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"The host did not end within {StopTimeout.TotalSeconds:0} s.\n{Output}");
        }
    }

    /// <summary>
    /// Starts the host again on the same data and the same ports, after <see cref="KillHost"/> or <see cref="StopAsync"/>, and waits until
    /// it is ready: a client that retries finds it where it was.
    /// </summary>
    public async Task RestartAsync()
    {
        if (!_process.HasExited) throw new InvalidOperationException("The host still runs; kill or stop it first.");

        string[] ports =
        [
            .. _lastApps.SelectMany(app => new[]
            {
                "--app-port", $"{app.AppId}={new Uri(app.Url).Port}", "--dapr-http-port", $"{app.AppId}={app.DaprHttpPort}", "--dapr-grpc-port", $"{app.AppId}={app.DaprGrpcPort}",
            }),
        ];
        // run.json of the killed host must not be taken for the new one's.
        int formerPid = _process.Id;
        _process.Dispose();
        _process = StartProcess(ports);
        long started = Stopwatch.GetTimestamp();
        while (ReadRunPid() is not { } pid || pid == formerPid)
        {
            if (_process.HasExited) throw new TimeoutException($"The host ended with {_process.ExitCode} at its restart.\n{Output}");
            if (Stopwatch.GetElapsedTime(started) > _options.ReadyTimeout) throw new TimeoutException($"The host did not come back.\n{Output}");
            await Task.Delay(Pause);
        }

        await WaitUntilReadyAsync();
    }

    public async ValueTask DisposeAsync()
    {
        // A host that was refused has no services of its own; the run.json there is another's.
        List<int> services = ReadRunPid() == _process.Id ? [.. (ReadRun() ?? []).Select(app => app.Pid).Where(pid => pid != 0)] : [];
        try
        {
            if (!_process.HasExited) await StopAsync();
        }
        catch (TimeoutException)
        {
            _process.Kill(entireProcessTree: true);
        }

        // After KillHost the services are on their way out; the data must not be deleted under them.
        foreach (int pid in services) await EndAsync(pid);
        _http?.Dispose();
        _process.Dispose();
        if (_ownsData && Directory.Exists(DataDirectory)) Directory.Delete(DataDirectory, recursive: true);
    }

    private Process StartProcess(IReadOnlyList<string> portFlags)
    {
        string[] arguments = [.. Interruptible(), "dotnet", BuiltAssembly("host"), "--ports", "auto", "--data", DataDirectory, "--file", _options.File ?? Path.Combine(RepositoryRoot, "dapr.yaml"), .. portFlags, .. _options.Arguments];
        var start = new ProcessStartInfo(arguments[0], arguments[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = RepositoryRoot,
        };
        foreach ((string name, string value) in _options.Environment) start.Environment[name] = value;
        Process process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Keep(line.Data);
        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    // What stands before the command so that SIGINT is ignored, or is not. Both end in an exec, so the process id is the host's.
    private string[] Interruptible() => _options.IgnoresInterrupt
        ? ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
        : IsInterruptIgnored() ? ["env", "--default-signal=INT"] : []; // a shell cannot take back what was ignored when it began

    // The second bit of the mask of ignored signals. Only Linux tells.
    private static bool IsInterruptIgnored() =>
        File.Exists("/proc/self/status")
        && File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith("SigIgn:", StringComparison.Ordinal)) is { } line
        && (ulong.Parse(line["SigIgn:".Length..].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & 2) != 0;

    private void Keep(string? line)
    {
        if (line is null) return;
        lock (_gate)
        {
            _output.Enqueue(line);
            if (_output.Count > OutputLinesMax) _output.Dequeue();
        }
    }

    private List<MeshHostApp>? ReadRun() => ReadRunFile()?.GetProperty("apps").Deserialize<List<MeshHostApp>>(Json);

    private int? ReadRunPid() => ReadRunFile()?.GetProperty("pid").GetInt32();

    private JsonElement? ReadRunFile()
    {
        try
        {
            return JsonSerializer.Deserialize<JsonElement>(File.ReadAllBytes(Path.Combine(DataDirectory, "run.json")));
        }
        catch (IOException)
        {
            return null; // not written yet, or deleted by a host that stopped
        }
    }

    private static async Task EndAsync(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            using var patience = new CancellationTokenSource(StopTimeout);
            try
            {
                await process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill();
            }
        }
        catch (ArgumentException)
        {
            // It has ended.
        }
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
    }

    /// <summary>The folder of Mesh.sln, above the test's own assembly.</summary>
    public static string RepositoryRoot { get; } = FindRoot();

    /// <summary>A project's assembly in the build that the running test belongs to.</summary>
    public static string BuiltAssembly(string project)
    {
        string bin = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string path = Path.GetFullPath(Path.Combine(bin, "..", "..", project, Path.GetFileName(bin), $"{project}.dll"));
        return File.Exists(path) ? path : throw new FileNotFoundException($"{project} is not built: the test project needs a reference to it (ReferenceOutputAssembly=false will do).", path);
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Mesh.sln"))) return folder.FullName;
        }

        throw new DirectoryNotFoundException($"There is no Mesh.sln above {AppContext.BaseDirectory}.");
    }
}
