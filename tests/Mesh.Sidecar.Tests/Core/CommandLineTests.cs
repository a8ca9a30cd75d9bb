using System.Text.RegularExpressions;
using Mesh.Sidecar.Command;
using Microsoft.Extensions.Logging;

namespace Mesh.Sidecar.Tests.Core;

/// <summary>The sidecar takes the command lines that are written for daprd.</summary>
public sealed class CommandLineTests
{
    // daprd's flags as its own source declares them, and two that only its documentation still names.
    private const string Daprd = """
        mode dapr-http-port dapr-listen-addresses dapr-public-port dapr-public-listen-address dapr-grpc-port dapr-internal-grpc-port
        dapr-internal-grpc-listen-address app-port profile-port app-protocol components-path resources-path config app-id control-plane-address
        sentry-address control-plane-trust-domain control-plane-namespace sentry-request-jwt-audiences allowed-origins enable-profiling version
        build-info wait app-max-concurrency enable-mtls app-ssl dapr-http-max-request-size max-body-size dapr-http-read-buffer-size read-buffer-size
        unix-domain-socket dapr-graceful-shutdown-seconds dapr-block-shutdown-duration enable-api-logging disable-builtin-k8s-secret-store
        enable-app-health-check app-health-check-path app-health-probe-interval app-health-probe-timeout app-health-threshold app-channel-address
        disable-init-endpoints placement-host-address scheduler-host-address scheduler-job-streams actors-disseminate-timeout
        hot-reload-reconcile-interval app-binding-options-timeout reminders-service actors-service log-level log-as-json metrics-port
        metrics-listen-address enable-metrics internal-grpc-port profiling-port
        """;

    public static TheoryData<string> DaprdNames => [.. Regex.Split(Daprd.Trim(), @"\s+")];

    [Theory, MemberData(nameof(DaprdNames))]
    public void Every_flag_of_daprd_is_accepted_in_each_way_of_writing_it(string name)
    {
        bool isSwitch = DaprdFlags.All[name].IsSwitch;

        Assert.Equal("1", CommandLine.Parse([$"--{name}=1"]).Last(name));
        Assert.Equal("1", CommandLine.Parse([$"-{name}=1"]).Last(name));
        Assert.Equal(isSwitch ? "true" : "1", CommandLine.Parse(isSwitch ? [$"--{name}"] : [$"--{name}", "1"]).Last(name));
        Assert.Equal(isSwitch ? "true" : "1", CommandLine.Parse(isSwitch ? [$"-{name}"] : [$"-{name}", "1"]).Last(name));
    }

    [Fact]
    public void A_whole_command_line_of_a_tool_becomes_options()
    {
        SidecarSettings settings = Read(
            "--app-id", "gateway", "--app-port=8080", "-dapr-http-port", "3501", "--dapr-grpc-port", "50002", "--resources-path", "a,b", "--resources-path=c",
            "--components-path", "d", "--max-body-size", "16Mi", "--app-max-concurrency", "-1", "--log-level", "warn", "--dapr-listen-addresses", "127.0.0.1,[::1]",
            "--dapr-graceful-shutdown-seconds", "9", "--log-as-json", "--enable-mtls=false", "--placement-host-address", "localhost:50005", "--mode", "standalone");

        Assert.Equal(("gateway", 8080, 3501, 50002), (settings.Options.AppId, settings.Options.AppPort, settings.Options.HttpPort, settings.Options.GrpcPort));
        Assert.Equal(["a", "b", "c", "d"], settings.Options.ResourcesPaths);
        Assert.Equal(["127.0.0.1", "[::1]"], settings.Options.ListenAddresses);
        Assert.Equal((16 * 1024 * 1024, (int?)null, TimeSpan.FromSeconds(9)),
            (settings.Options.BodyBytesMax, settings.Options.AppConcurrencyMax, settings.Options.ShutdownTimeout));
        Assert.Equal((LogLevel.Warning, true), (settings.LogLevel, settings.LogAsJson));
    }

    [Fact]
    public void Defaults_are_daprds()
    {
        SidecarSettings settings = Read("--app-id", "a");

        Assert.Equal((3500, 50001, (int?)null, 4 * 1024 * 1024),
            (settings.Options.HttpPort, settings.Options.GrpcPort, settings.Options.AppPort, settings.Options.BodyBytesMax));
        Assert.Equal(["127.0.0.1"], settings.Options.ListenAddresses);
        Assert.Null(settings.Options.ApiToken);
    }

    [Fact]
    public void The_environment_fills_in_and_flags_win()
    {
        var environment = new Dictionary<string, string>
        {
            ["APP_ID"] = "from-env", ["APP_PORT"] = "7000", ["DAPR_HTTP_PORT"] = "3600", ["DAPR_GRPC_PORT"] = "50100",
            ["DAPR_API_TOKEN"] = "t1", ["APP_API_TOKEN"] = "t2", ["NAMESPACE"] = "prod", ["POD_NAME"] = "p",
        };

        SidecarSettings settings = SidecarSettings.Read(CommandLine.Parse(["--dapr-http-port", "3700"]), environment.GetValueOrDefault);

        Assert.Equal(("from-env", 7000, 3700, 50100), (settings.Options.AppId, settings.Options.AppPort, settings.Options.HttpPort, settings.Options.GrpcPort));
        Assert.Equal(("t1", "t2", "prod", "p"), (settings.Options.ApiToken, settings.Options.AppApiToken, settings.Options.Namespace, settings.Options.PodName));
    }

    [Fact]
    public void Flags_without_meaning_are_named_once()
    {
        CommandLine line = CommandLine.Parse(["--enable-mtls", "--config", "a", "--config", "b", "--app-id", "x"]);

        Assert.Equal(["enable-mtls", "config"], line.Ignored);
    }

    [Theory]
    [InlineData("--made-up", "Unknown flag --made-up")]
    [InlineData("stray", "'stray' is not a flag")]
    [InlineData("--app-port", "needs a value")]
    [InlineData("--app-port=many", "takes a whole number")]
    [InlineData("--app-port=70000", "takes a port")]
    [InlineData("--log-level=loud", "--log-level takes")]
    [InlineData("--max-body-size=much", "takes a size")]
    [InlineData("--log-as-json=maybe", "true or false")]
    [InlineData("--app-protocol=grpc", "real daprd")]
    [InlineData("--app-ssl", "real daprd")]
    public void What_cannot_be_meant_is_told(string argument, string reason)
    {
        var error = Assert.Throws<UsageException>(() => Read("--app-id=a", argument));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("4Mi", 4_194_304)]
    [InlineData("10k", 10_000)]
    [InlineData("1.5Ki", 1_536)]
    [InlineData("65536", 65_536)]
    public void Sizes_read_as_kubernetes_quantities(string text, int bytes)
    {
        Assert.Equal(bytes, SidecarSettings.Bytes("max-body-size", text));
    }

    [Fact]
    public async Task Wrong_use_prints_the_reason_and_the_flags_and_exits_with_2()
    {
        using var output = new StringWriter();
        using var errors = new StringWriter();

        int code = await SidecarCommand.RunAsync(["--made-up"], _ => null, output, errors);

        Assert.Equal(2, code);
        Assert.Contains("--made-up", errors.ToString(), StringComparison.Ordinal);
        Assert.Contains("--dapr-http-port", errors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Version_prints_the_runtime_version()
    {
        using var output = new StringWriter();

        int code = await SidecarCommand.RunAsync(["--version"], _ => null, output, TextWriter.Null);

        Assert.Equal((0, Mesh.Sidecar.Runtime.SidecarOptions.RuntimeVersion), (code, output.ToString().Trim()));
    }

    private static SidecarSettings Read(params string[] arguments) => SidecarSettings.Read(CommandLine.Parse(arguments), _ => null);
}
