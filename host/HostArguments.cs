using System.Globalization;
using Mesh.Simulator;

namespace Mesh.Host;

/// <summary>Which sidecars serve the Dapr API.</summary>
internal enum RuntimeKind
{
    /// <summary>This process, through Mesh.Sidecar.</summary>
    Embedded,

    /// <summary>One daprd process for each app.</summary>
    Dapr,
}

/// <summary>The host's flags, parsed.</summary>
internal sealed record HostArguments
{
    private const int ShardsMax = 64; // as many as index-updater takes

    private static readonly CommandLine Line = new(
        new("--demo", "fill an empty store with a small synthetic world, then print requests to try"),
        new("--data", "folder that holds all state", "DIR", Default: ".feedmesh"),
        new("--file", "the multi-app run template, or a folder that holds one", "FILE", Default: "dapr.yaml, here or above"),
        new("--resources-path", "component YAML to use in place of the template's", "DIR", Repeatable: true),
        new("--ports", "fixed: as the template says; auto: free ports for everything", "fixed|auto", Default: "fixed"),
        new("--app-port", "another port for one app, e.g. gateway=8090", "APP=PORT", Repeatable: true),
        new("--dapr-http-port", "another Dapr HTTP port for one app", "APP=PORT", Repeatable: true),
        new("--dapr-grpc-port", "another Dapr gRPC port for one app", "APP=PORT", Repeatable: true),
        new("--shards", "instances of retrieval, each with a shard of the index; not to be changed for data that is there", "N", Default: "1"),
        new("--runtime", "embedded: sidecars in this process; dapr: a real daprd for each app (DAPR_RUNTIME_PATH or PATH)", "embedded|dapr", Default: "embedded"),
        new("--no-restart", "leave a service that dies down"),
        new("--help", "this text"));

    public bool Help { get; private init; }

    public bool Demo { get; private init; }

    public string DataDirectory { get; private init; } = ".feedmesh";

    /// <summary>Null: look for dapr.yaml here and above.</summary>
    public string? File { get; private init; }

    /// <summary>Empty: as the template says.</summary>
    public IReadOnlyList<string> ResourcesPaths { get; private init; } = [];

    public bool AutomaticPorts { get; private init; }

    public IReadOnlyDictionary<string, int> AppPorts { get; private init; } = new Dictionary<string, int>();

    public IReadOnlyDictionary<string, int> DaprHttpPorts { get; private init; } = new Dictionary<string, int>();

    public IReadOnlyDictionary<string, int> DaprGrpcPorts { get; private init; } = new Dictionary<string, int>();

    /// <summary>Apps of retrieval. 1: the template as it is.</summary>
    public int Shards { get; private init; } = 1;

    public RuntimeKind Runtime { get; private init; }

    public bool Restart { get; private init; } = true;

    public static string Usage => Line.Usage("Starts every service of dapr.yaml with its sidecar.", "dotnet run --project host -- [flags]");

    /// <exception cref="CommandLineException">A flag is unknown or its value is not one.</exception>
    public static HostArguments Parse(IReadOnlyList<string> args)
    {
        CommandLineValues values = Line.Parse(args);
        return new HostArguments
        {
            Help = values.Has("--help"),
            Demo = values.Has("--demo"),
            DataDirectory = values.Single("--data") ?? ".feedmesh",
            File = values.Single("--file"),
            ResourcesPaths = values.All("--resources-path"),
            AutomaticPorts = values.OneOf("--ports", "fixed", "auto") == "auto",
            AppPorts = PortsOf(values, "--app-port"),
            DaprHttpPorts = PortsOf(values, "--dapr-http-port"),
            DaprGrpcPorts = PortsOf(values, "--dapr-grpc-port"),
            Shards = ShardsOf(values),
            Runtime = values.OneOf("--runtime", "embedded", "dapr") == "dapr" ? RuntimeKind.Dapr : RuntimeKind.Embedded,
            Restart = !values.Has("--no-restart"),
        };
    }

    private static int ShardsOf(CommandLineValues values)
    {
        string text = values.Single("--shards") ?? "1";
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int shards) && shards is >= 1 and <= ShardsMax
            ? shards
            : throw new CommandLineException($"--shards {text}: expected a number of 1-{ShardsMax}.");
    }

    private static Dictionary<string, int> PortsOf(CommandLineValues values, string flag)
    {
        var ports = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string value in values.All(flag))
        {
            string[] parts = value.Split('=', 2);
            if (parts.Length != 2 || parts[0].Length == 0
                || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port is < 1 or > 65535)
            {
                throw new CommandLineException($"{flag} {value}: expected APP=PORT with a port of 1-65535, e.g. gateway=8090.");
            }

            ports[parts[0]] = port;
        }

        return ports;
    }
}
