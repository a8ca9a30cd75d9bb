using System.Collections.Frozen;

namespace Mesh.Host.Topology;

/// <summary>How a scalar of the template is checked.</summary>
internal enum SettingKind
{
    Text,
    Port,
    Number,
    Megabytes,
    Boolean,
}

/// <summary>One optional property of the template and the daprd flag that carries it; null where only the Dapr CLI reads it.</summary>
internal sealed record TemplateProperty(string Name, SettingKind Kind, string? DaprdFlag);

/// <summary>Every property that the multi-app run format documents beyond those with a member in <see cref="AppTemplate"/>.</summary>
internal static class TemplateProperties
{
    public static FrozenDictionary<string, TemplateProperty> Settings { get; } = new TemplateProperty[]
    {
        new("appChannelAddress", SettingKind.Text, "--app-channel-address"),
        new("appProtocol", SettingKind.Text, "--app-protocol"),
        new("appMaxConcurrency", SettingKind.Number, "--app-max-concurrency"),
        new("appSSL", SettingKind.Boolean, "--app-ssl"),
        new("daprInternalGRPCPort", SettingKind.Port, "--dapr-internal-grpc-port"),
        new("metricsPort", SettingKind.Port, "--metrics-port"),
        new("profilePort", SettingKind.Port, "--profile-port"),
        new("enableProfiling", SettingKind.Boolean, "--enable-profiling"),
        new("apiListenAddresses", SettingKind.Text, "--dapr-listen-addresses"),
        new("logLevel", SettingKind.Text, "--log-level"),
        new("placementHostAddress", SettingKind.Text, "--placement-host-address"),
        new("schedulerHostAddress", SettingKind.Text, "--scheduler-host-address"),
        new("daprHTTPMaxRequestSize", SettingKind.Megabytes, "--dapr-http-max-request-size"),
        new("daprHTTPReadBufferSize", SettingKind.Number, "--dapr-http-read-buffer-size"),
        new("enableAppHealthCheck", SettingKind.Boolean, "--enable-app-health-check"),
        new("appHealthCheckPath", SettingKind.Text, "--app-health-check-path"),
        new("appHealthProbeInterval", SettingKind.Number, "--app-health-probe-interval"),
        new("appHealthProbeTimeout", SettingKind.Number, "--app-health-probe-timeout"),
        new("appHealthThreshold", SettingKind.Number, "--app-health-threshold"),
        new("enableApiLogging", SettingKind.Boolean, "--enable-api-logging"),
        new("unixDomainSocket", SettingKind.Text, "--unix-domain-socket"),
        new("runtimePath", SettingKind.Text, null),
        new("appLogDestination", SettingKind.Text, null),
        new("daprdLogDestination", SettingKind.Text, null),
        new("containerImage", SettingKind.Text, null),
        new("containerImagePullPolicy", SettingKind.Text, null),
        new("createService", SettingKind.Boolean, null),
    }.ToFrozenDictionary(property => property.Name, StringComparer.Ordinal);
}
