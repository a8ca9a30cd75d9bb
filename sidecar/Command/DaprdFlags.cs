namespace Mesh.Sidecar.Command;

/// <summary>What a flag of daprd means here.</summary>
internal enum FlagMeaning
{
    /// <summary>Acted upon.</summary>
    Used,

    /// <summary>Accepted, named once in the log, without effect: it is about something that this sidecar does not have.</summary>
    Ignored,
}

/// <summary>One flag: whether it may stand without a value, and what it means here.</summary>
internal sealed record DaprdFlag(string Name, bool IsSwitch, FlagMeaning Meaning);

/// <summary>Every flag of daprd, by its source and by Dapr's reference of arguments.</summary>
internal static class DaprdFlags
{
    private static readonly string[] UsedValues =
    [
        "app-id", "app-port", "app-channel-address", "app-max-concurrency", "app-protocol", "components-path", "resources-path",
        "dapr-http-port", "dapr-grpc-port", "dapr-listen-addresses", "dapr-graceful-shutdown-seconds", "dapr-http-max-request-size", "max-body-size",
        "log-level", "unix-domain-socket",
    ];

    private static readonly string[] UsedSwitches = ["version", "build-info", "wait", "app-ssl", "log-as-json", "enable-api-logging"];

    private static readonly string[] IgnoredValues =
    [
        "mode", "config", "allowed-origins", "dapr-public-port", "dapr-public-listen-address", "dapr-internal-grpc-port",
        "dapr-internal-grpc-listen-address", "internal-grpc-port", "profile-port", "profiling-port", "control-plane-address", "control-plane-trust-domain",
        "control-plane-namespace", "sentry-address", "sentry-request-jwt-audiences", "dapr-http-read-buffer-size", "read-buffer-size",
        "dapr-block-shutdown-duration", "app-health-check-path", "app-health-probe-interval", "app-health-probe-timeout", "app-health-threshold",
        "disable-init-endpoints", "placement-host-address", "scheduler-host-address", "scheduler-job-streams", "actors-disseminate-timeout",
        "hot-reload-reconcile-interval", "app-binding-options-timeout", "reminders-service", "actors-service", "metrics-port", "metrics-listen-address",
    ];

    private static readonly string[] IgnoredSwitches =
        ["enable-profiling", "enable-mtls", "disable-builtin-k8s-secret-store", "enable-app-health-check", "enable-metrics"];

    public static IReadOnlyDictionary<string, DaprdFlag> All { get; } = new[]
    {
        UsedValues.Select(name => new DaprdFlag(name, IsSwitch: false, FlagMeaning.Used)),
        UsedSwitches.Select(name => new DaprdFlag(name, IsSwitch: true, FlagMeaning.Used)),
        IgnoredValues.Select(name => new DaprdFlag(name, IsSwitch: false, FlagMeaning.Ignored)),
        IgnoredSwitches.Select(name => new DaprdFlag(name, IsSwitch: true, FlagMeaning.Ignored)),
    }.SelectMany(flags => flags).ToDictionary(flag => flag.Name, StringComparer.Ordinal);
}
