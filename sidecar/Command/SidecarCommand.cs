using System.Runtime.InteropServices;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Command;

/// <summary>
/// The sidecar as a program of its own, with daprd's flags, so that tools made for daprd can drive it. Runs until
/// SIGTERM, Ctrl-C or <c>POST /v1.0/shutdown</c>. Exit codes: 0 stopped, 1 could not start, 2 wrong use.
/// </summary>
public static class SidecarCommand
{
    private const string Usage = "usage: sidecar --app-id ID [--app-port N] [--dapr-http-port N] [--dapr-grpc-port N] [--resources-path FOLDER]...";

    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, Func<string, string?> environment, TextWriter output, TextWriter errors)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(errors);
        try
        {
            CommandLine line = CommandLine.Parse(arguments);
            if (line.IsOn("version") || line.IsOn("build-info"))
            {
                await output.WriteLineAsync(SidecarOptions.RuntimeVersion);
                return 0;
            }

            SidecarSettings settings = line.IsOn("wait")
                ? SidecarSettings.Read(WithAppId(arguments), environment)
                : SidecarSettings.Read(line, environment);
            return line.IsOn("wait")
                ? await WaitCommand.RunAsync(settings.Options.HttpPort, TimeProvider.System, errors)
                : await ServeAsync(settings, line.Ignored, errors);
        }
        catch (UsageException error)
        {
            await errors.WriteLineAsync($"{error.Message}\n{Usage}\nFlags: {string.Join(' ', DaprdFlags.All.Keys.Order(StringComparer.Ordinal).Select(name => "--" + name))}");
            return 2;
        }
    }

    // --wait is about a port only; daprd asks for no app-id there.
    private static CommandLine WithAppId(IReadOnlyList<string> arguments) => CommandLine.Parse(["--app-id=wait", .. arguments]);

    private static async Task<int> ServeAsync(SidecarSettings settings, IReadOnlyList<string> ignored, TextWriter errors)
    {
        using ILoggerFactory loggers = LoggerFactory.Create(logging => Configure(logging, settings));
        ILogger logger = loggers.CreateLogger("Mesh.Sidecar");
        if (ignored.Count > 0) Log.FlagsIgnored(logger, string.Join(' ', ignored.Select(name => "--" + name)));

        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        try
        {
            await using var shared = new SharedRuntime();
            await using SidecarServer server = await SidecarServer.StartAsync(settings.Options, shared, loggers, TimeProvider.System, CancellationToken.None);
            await Task.WhenAny(stop.Task, server.Context.Health.ShutdownRequested);
            return 0;
        }
        catch (Exception error) when (error is ComponentException or IOException)
        {
            await errors.WriteLineAsync(error.Message);
            return 1;
        }

        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true; // the process ends when everything is closed, not now
            stop.TrySetResult();
        }
    }

    private static void Configure(ILoggingBuilder logging, SidecarSettings settings)
    {
        const string TimeFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
        logging.SetMinimumLevel(settings.LogLevel).AddFilter("Microsoft", LogLevel.Warning).AddFilter("Grpc", LogLevel.Warning);
        if (settings.LogAsJson)
        {
            logging.AddJsonConsole(console => (console.UseUtcTimestamp, console.TimestampFormat) = (true, TimeFormat));
        }
        else
        {
            logging.AddSimpleConsole(console => (console.SingleLine, console.UseUtcTimestamp, console.TimestampFormat) = (true, true, TimeFormat));
        }
    }
}
