namespace Mesh.Sidecar.Runtime;

/// <summary>How one sidecar runs: the meaning of daprd's flags, parsed.</summary>
public sealed record SidecarOptions
{
    /// <summary>The runtime version that this sidecar follows: what metadata reports and <c>--version</c> prints.</summary>
    public const string RuntimeVersion = "1.16.0-feedmesh";

    public required string AppId { get; init; }

    /// <summary>Port the app listens on; null = a sidecar without an app.</summary>
    public int? AppPort { get; init; }

    /// <summary>Host of the app (<c>--app-channel-address</c>).</summary>
    public string AppAddress { get; init; } = "127.0.0.1";

    /// <summary>Port of the HTTP face; 0 = any free one, see <see cref="SidecarServer.HttpPort"/>.</summary>
    public int HttpPort { get; init; } = 3500;

    /// <summary>Port of the gRPC face; 0 = any free one.</summary>
    public int GrpcPort { get; init; } = 50001;

    /// <summary>Addresses that both faces listen on (<c>--dapr-listen-addresses</c>).</summary>
    public IReadOnlyList<string> ListenAddresses { get; init; } = ["127.0.0.1"];

    /// <summary>Folders with component and resiliency YAML.</summary>
    public IReadOnlyList<string> ResourcesPaths { get; init; } = [];

    /// <summary>Relative file paths in component metadata are taken from here.</summary>
    public string DataDirectory { get; init; } = ".";

    /// <summary>Namespace of the app (<c>NAMESPACE</c>); null = none, and documents of every namespace count.</summary>
    public string? Namespace { get; init; }

    /// <summary>What <c>{podName}</c> stands for in component metadata (<c>POD_NAME</c>).</summary>
    public string? PodName { get; init; }

    /// <summary>Largest request body either face takes (<c>--max-body-size</c>), in bytes.</summary>
    public int BodyBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>Token that callers of this sidecar must send in <c>dapr-api-token</c> (<c>DAPR_API_TOKEN</c>); null = none.</summary>
    public string? ApiToken { get; init; }

    /// <summary>Token sent to the app in <c>dapr-api-token</c> (<c>APP_API_TOKEN</c>); null = none.</summary>
    public string? AppApiToken { get; init; }

    /// <summary>Most calls in flight to the app (<c>--app-max-concurrency</c>); null = unlimited.</summary>
    public int? AppConcurrencyMax { get; init; }

    /// <summary>Folder for Unix domain sockets in place of ports (<c>--unix-domain-socket</c>); null = ports.</summary>
    public string? UnixDomainSocketFolder { get; init; }

    /// <summary>How long calls in flight may go on when the sidecar stops (<c>--dapr-graceful-shutdown-seconds</c>).</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Whether each call is logged (<c>--enable-api-logging</c>).</summary>
    public bool LogCalls { get; init; }
}
