using System.Globalization;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Command;

/// <summary>
/// The command line and the environment as settings of one sidecar. A flag wins over its variable: <c>APP_ID</c>,
/// <c>APP_PORT</c>, <c>DAPR_HTTP_PORT</c>, <c>DAPR_GRPC_PORT</c>, <c>NAMESPACE</c>, <c>POD_NAME</c>, <c>DAPR_API_TOKEN</c>,
/// <c>APP_API_TOKEN</c>.
/// </summary>
internal sealed record SidecarSettings(SidecarOptions Options, LogLevel LogLevel, bool LogAsJson, bool ApiLogging)
{
    /// <exception cref="UsageException">A value is missing or cannot be used.</exception>
    public static SidecarSettings Read(CommandLine line, Func<string, string?> environment)
    {
        string? Either(string flag, string variable) => line.Last(flag) ?? (environment(variable) is { Length: > 0 } value ? value : null);

        RefuseWhatAppsCannotBe(line);
        var options = new SidecarOptions
        {
            AppId = Either("app-id", "APP_ID") ?? throw new UsageException("Flag --app-id is required."),
            AppPort = Either("app-port", "APP_PORT") is { } appPort && Port("app-port", appPort) is > 0 and int port ? port : null,
            AppAddress = line.Last("app-channel-address") ?? "127.0.0.1",
            AppConcurrencyMax = line.Last("app-max-concurrency") is { } max && Number("app-max-concurrency", max) is > 0 and int most ? most : null,
            HttpPort = Either("dapr-http-port", "DAPR_HTTP_PORT") is { } http ? Port("dapr-http-port", http) : 3500,
            GrpcPort = Either("dapr-grpc-port", "DAPR_GRPC_PORT") is { } grpc ? Port("dapr-grpc-port", grpc) : 50001,
            ListenAddresses = line.All("dapr-listen-addresses") is { Count: > 0 } addresses ? addresses : ["127.0.0.1"],
            UnixDomainSocketFolder = line.Last("unix-domain-socket"),
            ResourcesPaths = [.. line.All("resources-path"), .. line.All("components-path")],
            DataDirectory = Directory.GetCurrentDirectory(),
            Namespace = environment("NAMESPACE") is { Length: > 0 } name ? name : null,
            PodName = environment("POD_NAME"),
            BodyBytesMax = BodyBytesMax(line),
            ShutdownTimeout = TimeSpan.FromSeconds(
                line.Last("dapr-graceful-shutdown-seconds") is { } seconds ? Number("dapr-graceful-shutdown-seconds", seconds) : 5),
            ApiToken = environment("DAPR_API_TOKEN") is { Length: > 0 } token ? token : null,
            AppApiToken = environment("APP_API_TOKEN") is { Length: > 0 } appToken ? appToken : null,
            LogCalls = line.IsOn("enable-api-logging"),
        };
        return new SidecarSettings(options, Level(line.Last("log-level") ?? "info"), line.IsOn("log-as-json"), options.LogCalls);
    }

    /// <summary>A size such as 4Mi, 8M or 65536, in bytes.</summary>
    /// <exception cref="UsageException">It is none, or above 2 GiB.</exception>
    internal static int Bytes(string flag, string text)
    {
        (string Suffix, long Scale)[] units = [("Ki", 1L << 10), ("Mi", 1L << 20), ("Gi", 1L << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
        (string suffix, long scale) = units.FirstOrDefault(unit => text.EndsWith(unit.Suffix, StringComparison.Ordinal), ("", 1));
        return decimal.TryParse(text[..^suffix.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number)
            && number * scale is > 0 and <= int.MaxValue and decimal bytes
            ? (int)bytes
            : throw new UsageException($"Flag --{flag} takes a size such as 4Mi, up to 2047Mi, not '{text}'.");
    }

    private static void RefuseWhatAppsCannotBe(CommandLine line)
    {
        if (line.Last("app-protocol") is { } protocol && !protocol.Equals("http", StringComparison.OrdinalIgnoreCase))
        {
            throw new UsageException($"The embedded sidecar calls apps over http, not {protocol}. For other protocols run the app behind the real daprd.");
        }

        if (line.IsOn("app-ssl")) throw new UsageException("The embedded sidecar calls apps over plain http. For --app-ssl run the app behind the real daprd.");
    }

    private static int BodyBytesMax(CommandLine line) => line.Last("max-body-size") is { } size
        ? Bytes("max-body-size", size)
        : line.Last("dapr-http-max-request-size") is { } megabytes
            ? Bytes("dapr-http-max-request-size", megabytes + "Mi")
            : new SidecarOptions { AppId = "" }.BodyBytesMax;

    private static int Port(string flag, string text) => Number(flag, text) is >= 0 and <= 65_535 and int port
        ? port
        : throw new UsageException($"Flag --{flag} takes a port from 0 (any free one) to 65535, not '{text}'.");

    private static int Number(string flag, string text) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new UsageException($"Flag --{flag} takes a whole number, not '{text}'.");

    private static LogLevel Level(string text) => text.ToLowerInvariant() switch
    {
        "debug" => LogLevel.Debug,
        "info" => LogLevel.Information,
        "warn" or "warning" => LogLevel.Warning,
        "error" => LogLevel.Error,
        "fatal" or "panic" => LogLevel.Critical,
        _ => throw new UsageException($"Flag --log-level takes debug, info, warn, error or fatal, not '{text}'."),
    };
}
