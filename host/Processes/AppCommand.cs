using System.Diagnostics;
using System.Globalization;
using Mesh.Host.Topology;

namespace Mesh.Host.Processes;

/// <summary>
/// How an app's process is started. <c>dotnet run</c> in a project that was built along with the host becomes the built
/// assembly: start-up takes a second instead of a build, and there is one process for each service. Any other command, in any
/// language, runs as it is.
/// </summary>
internal static class AppCommand
{
    // Where the service listens is said by APP_PORT alone.
    private static readonly string[] Unset = ["ASPNETCORE_URLS", "ASPNETCORE_HTTP_PORTS", "ASPNETCORE_HTTPS_PORTS", "URLS", "HTTP_PORTS", "DOTNET_LAUNCH_PROFILE"];

    /// <param name="binDirectory">The folder of the build that holds this host: its parent's parent holds the other projects.</param>
    public static ProcessStartInfo StartInfo(AppTemplate app, AppPorts ports, string binDirectory)
    {
        IReadOnlyList<string> command = Resolve(app, binDirectory);
        var start = new ProcessStartInfo(command[0], command.Skip(1)) { WorkingDirectory = app.AppDirectory };
        foreach (string name in Unset) start.Environment.Remove(name);
        foreach ((string name, string value) in app.Environment) start.Environment[name] = value;
        foreach ((string name, string value) in DaprVariables(app, ports)) start.Environment[name] = value;
        start.Environment["MESH_PARENT_PID"] = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return start;
    }

    /// <summary>The command with <c>dotnet run</c> replaced where the assembly is there.</summary>
    public static IReadOnlyList<string> Resolve(AppTemplate app, string binDirectory)
    {
        if (app.Command is not ["dotnet", "run", ..]) return app.Command;

        string[] projects = Directory.GetFiles(app.AppDirectory, "*.csproj");
        if (projects.Length != 1) return app.Command;

        string name = Path.GetFileNameWithoutExtension(projects[0]);
        string bin = Path.TrimEndingDirectorySeparator(binDirectory);
        string assembly = Path.Combine(bin, "..", "..", name, Path.GetFileName(bin), $"{name}.dll");
        if (!File.Exists(assembly)) return app.Command;

        // What follows "--" is for the app; flags before it are for `dotnet run`.
        IEnumerable<string> arguments = app.Command.SkipWhile(word => word != "--").Skip(1);
        return [DotnetProgram(), Path.GetFullPath(assembly), .. arguments];
    }

    /// <summary>The variables that <c>dapr run</c> sets for an app, and the endpoints that the SDKs read first.</summary>
    public static IEnumerable<KeyValuePair<string, string>> DaprVariables(AppTemplate app, AppPorts ports)
    {
        yield return new("APP_ID", app.AppId);
        if (app.AppPort is not null) yield return new("APP_PORT", Text(ports.App));
        yield return new("APP_PROTOCOL", app.Settings.GetValueOrDefault("appProtocol") ?? "http");
        yield return new("DAPR_HTTP_PORT", Text(ports.DaprHttp));
        yield return new("DAPR_GRPC_PORT", Text(ports.DaprGrpc));
        yield return new("DAPR_HTTP_ENDPOINT", $"http://127.0.0.1:{Text(ports.DaprHttp)}");
        yield return new("DAPR_GRPC_ENDPOINT", $"http://127.0.0.1:{Text(ports.DaprGrpc)}");
    }

    // The muxer that runs this host, where it is one; an apphost finds its own through DOTNET_ROOT or PATH.
    private static string DotnetProgram()
    {
        string name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        if (Environment.ProcessPath is { } process && Path.GetFileName(process) == name) return process;
        if (Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } muxer) return muxer;
        return Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root && File.Exists(Path.Combine(root, name)) ? Path.Combine(root, name) : name;
    }

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);
}
