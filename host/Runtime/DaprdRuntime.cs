using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Mesh.Host.Processes;
using Mesh.Host.Topology;

namespace Mesh.Host.Runtime;

/// <summary>
/// A real daprd for each app, supervised like the services. It runs in the data directory, so that relative paths in components
/// mean the same as with embedded sidecars. Actors need Dapr's placement service, which <c>dapr init</c> brings.
/// </summary>
internal sealed class DaprdRuntime(
    string program, string dataDirectory, PrefixedOutput output, TimeProvider clock, ILogger logger) : IDaprRuntime
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);
    private readonly ConcurrentDictionary<string, SupervisedProcess> _sidecars = new(StringComparer.Ordinal);

    /// <summary>Called after every start of a daprd.</summary>
    public Action Changed { get; set; } = () => { };

    /// <summary>
    /// The daprd to run: DAPR_RUNTIME_PATH (the file, or a folder with it or with .dapr/bin), else PATH, else where
    /// <c>dapr init</c> puts it.
    /// </summary>
    /// <exception cref="RuntimeException">There is none.</exception>
    public static string Locate(Func<string, string?> variable)
    {
        string file = OperatingSystem.IsWindows() ? "daprd.exe" : "daprd";
        string? configured = variable("DAPR_RUNTIME_PATH");
        if (!string.IsNullOrEmpty(configured))
        {
            string[] choices = [configured, Path.Combine(configured, file), Path.Combine(configured, ".dapr", "bin", file)];
            return choices.FirstOrDefault(File.Exists) ?? throw new RuntimeException(
                $"DAPR_RUNTIME_PATH is {configured}, but there is no daprd: looked for {string.Join(", ", choices)}.");
        }

        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        IEnumerable<string> folders = (variable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Append(Path.Combine(home, ".dapr", "bin"));
        return folders.Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists)
            ?? throw new RuntimeException(
                "--runtime dapr needs daprd, and none is on PATH. Install Dapr (dapr init), or set DAPR_RUNTIME_PATH, "
                + "or leave --runtime out: the embedded sidecar needs nothing.");
    }

    /// <summary>Component types that only the embedded sidecar has, found in the resources of an app.</summary>
    /// <exception cref="RuntimeException">There is one.</exception>
    public static void CheckResources(IEnumerable<string> resourcesPaths)
    {
        foreach (string file in resourcesPaths.Where(Directory.Exists).SelectMany(path => Directory.EnumerateFiles(path, "*.yaml")))
        {
            string? own = File.ReadLines(file).Select(line => line.Trim())
                .FirstOrDefault(line => line is "type: pubsub.sqlite" or "type: configuration.local" or "type: lock.in-memory");
            if (own is null) continue;
            throw new RuntimeException(
                $"{file} declares {own["type: ".Length..]}, a type of the embedded sidecar. "
                + "With --runtime dapr choose components of Dapr's, e.g. --resources-path components/redis.");
        }
    }

    /// <summary>The flags of daprd that say what the template says.</summary>
    public static IReadOnlyList<string> Arguments(AppTemplate app, AppPorts ports, int internalGrpcPort, int metricsPort)
    {
        List<string> arguments = ["--app-id", app.AppId, "--dapr-http-port", Text(ports.DaprHttp), "--dapr-grpc-port", Text(ports.DaprGrpc)];
        if (app.AppPort is not null) arguments.AddRange(["--app-port", Text(ports.App)]);
        foreach (string path in app.ResourcesPaths) arguments.AddRange(["--resources-path", path]);
        if (app.ConfigFilePath is { } config) arguments.AddRange(["--config", config]);
        if (!app.Settings.ContainsKey("daprInternalGRPCPort")) arguments.AddRange(["--dapr-internal-grpc-port", Text(internalGrpcPort)]);
        if (!app.Settings.ContainsKey("metricsPort")) arguments.AddRange(["--metrics-port", Text(metricsPort)]);
        foreach ((string name, string value) in app.Settings.OrderBy(setting => setting.Key, StringComparer.Ordinal))
        {
            TemplateProperty property = TemplateProperties.Settings[name];
            if (property.DaprdFlag is null) continue;
            if (property.Kind is SettingKind.Boolean) arguments.Add($"{property.DaprdFlag}={value}");
            else arguments.AddRange([property.DaprdFlag, value]);
        }

        return arguments;
    }

    public Task StartAsync(AppTemplate app, AppPorts ports, CancellationToken cancellation)
    {
        IReadOnlyList<string> arguments = Arguments(app, ports, PortPlan.Free(), PortPlan.Free());
        var sidecar = new SupervisedProcess(
            new SupervisedProcessOptions
            {
                Name = $"{app.AppId}-dapr",
                StartInfo = () => StartInfo(app, arguments),
                Started = pid =>
                {
                    Log.Started(logger, $"daprd of {app.AppId}", pid);
                    Changed();
                },
            },
            output, clock, logger);
        _sidecars[app.AppId] = sidecar;
        sidecar.Start();
        return Task.CompletedTask;
    }

    // A daprd is told of its app by nobody but its own health checks and failing calls.
    public void AppExited(string appId)
    {
    }

    public Task AppRestartedAsync(string appId, CancellationToken cancellation) => Task.CompletedTask;

    public int SidecarPid(string appId) => _sidecars.TryGetValue(appId, out SupervisedProcess? sidecar) ? sidecar.Pid ?? 0 : 0;

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_sidecars.Values.Select(sidecar => sidecar.StopAsync(StopPatience)));
        foreach (SupervisedProcess sidecar in _sidecars.Values) await sidecar.DisposeAsync();
    }

    private ProcessStartInfo StartInfo(AppTemplate app, IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = dataDirectory };
        foreach ((string name, string value) in app.Environment) start.Environment[name] = value;
        return start;
    }

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);
}
