using System.Globalization;
using System.Runtime.InteropServices;
using Mesh.Host.Data;
using Mesh.Host.Processes;
using Mesh.Host.Runtime;
using Mesh.Host.Topology;
using Mesh.Sidecar.Components;
using Mesh.Simulator;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;

namespace Mesh.Host;

/// <summary>
/// The host from its arguments to its exit code: 0 after a clean stop, 1 where it could not run, 2 for wrong flags, 130 where a
/// second signal cut the stop short.
/// </summary>
internal static class HostCommand
{
    private const int Clean = 0;
    private const int Failed = 1;
    private const int WrongUsage = 2;
    private const int CutShort = 130;

    public static async Task<int> RunAsync(string[] args)
    {
        HostArguments arguments;
        try
        {
            arguments = HostArguments.Parse(args);
        }
        catch (CommandLineException exception)
        {
            await Console.Error.WriteLineAsync($"{exception.Message}{Environment.NewLine}{Environment.NewLine}{HostArguments.Usage}");
            return WrongUsage;
        }

        if (arguments.Help)
        {
            await Console.Out.WriteAsync(HostArguments.Usage);
            return Clean;
        }

        using var signals = new StopSignals();
        try
        {
            return await RunAsync(arguments, signals);
        }
        catch (Exception exception) when (exception is TemplateException or PortException or DataDirectoryInUseException or RuntimeException
            or ComponentException or DataException or FeedApiException)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            return Failed;
        }
        catch (OperationCanceledException) when (signals.Stop.IsCancellationRequested)
        {
            return Clean; // asked to stop before anything ran
        }
    }

    private static async Task<int> RunAsync(HostArguments arguments, StopSignals signals)
    {
        TimeProvider clock = TimeProvider.System;
        RunTemplate template = ReadTemplate(arguments);
        bool colours = !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        var output = new PrefixedOutput(Console.Out, colours, template.Apps.Max(app => app.AppId.Length));
        using ILoggerFactory loggers = Loggers("host");
        ILogger logger = loggers.CreateLogger("Mesh.Host");

        using DataDirectory data = DataDirectory.Open(arguments.DataDirectory);
        if (arguments.Shards > 1) template = ShardedTemplate.WithResources(template, arguments.Shards, Path.Combine(data.FullPath, "resources"));
        if (data.Run.ReadLeftover() is { } leftover) await Orphans.AwaitGoneAsync(leftover, clock, logger, signals.Stop);
        IReadOnlyDictionary<string, AppPorts> ports = PortPlan.Make(template, arguments);
        IDaprRuntime runtime = MakeRuntime(); // ends with the run

        var parts = new HostRunParts(template, ports, data, runtime, arguments.Restart, AppContext.BaseDirectory);
        await using var run = new HostRun(parts, output, clock, logger);
        if (runtime is DaprdRuntime daprd) daprd.Changed = run.Publish;
        signals.OnSecond(run.Kill);
        try
        {
            await run.StartAsync(signals.Stop);
            await run.WaitUntilReadyAsync(signals.Stop);
            output.WriteBlock(HostTable.Render(run.State, colours));
            if (arguments.Demo) await new DemoWorld(output, clock).FillAsync(run.State, signals.Stop);
            await Task.Delay(Timeout.InfiniteTimeSpan, clock, signals.Stop);
        }
        catch (OperationCanceledException) when (signals.Stop.IsCancellationRequested)
        {
            // The one way out of a healthy run.
        }
        finally
        {
            await run.StopAsync();
        }

        return signals.CutShort ? CutShort : Clean;

        IDaprRuntime MakeRuntime()
        {
            if (arguments.Runtime is RuntimeKind.Embedded) return new EmbeddedRuntime(data.FullPath, Loggers, clock);

            DaprdRuntime.CheckResources(template.Apps.SelectMany(app => app.ResourcesPaths).Distinct());
            return new DaprdRuntime(DaprdRuntime.Locate(Environment.GetEnvironmentVariable), data.FullPath, output, clock, logger);
        }

        ILoggerFactory Loggers(string name) => LoggerFactory.Create(logging => logging
            .AddProvider(new PrefixedLoggerProvider(output, clock, name))
            .AddFilter("Microsoft", LogLevel.Warning).AddFilter("Grpc", LogLevel.Warning));
    }

    private static RunTemplate ReadTemplate(HostArguments arguments)
    {
        string? path = arguments.File ?? TemplateReader.Find(Directory.GetCurrentDirectory()) ?? TemplateReader.Find(AppContext.BaseDirectory);
        if (path is null) throw new TemplateException("dapr.yaml", ["It is neither here nor in a folder above; name it: --file FILE"]);

        RunTemplate template = TemplateReader.Read(path);
        if (arguments.ResourcesPaths.Count > 0)
        {
            string[] resources = [.. arguments.ResourcesPaths.Select(Path.GetFullPath)];
            template = template with { Apps = [.. template.Apps.Select(app => app with { ResourcesPaths = resources })] };
        }

        string[] faults =
        [
            .. template.Apps.SelectMany(app => app.ResourcesPaths).Distinct().Where(folder => !Directory.Exists(folder))
                .Select(folder => $"There is no resources folder {folder}."),
        ];
        if (faults.Length > 0) throw new TemplateException(path, faults);
        return arguments.Shards == 1 ? template : ShardedTemplate.Of(template, arguments.Shards);
    }
}

/// <summary>
/// SIGINT, SIGTERM and SIGHUP: the first asks for an orderly stop, the second cuts it short. What the parent had this process ignore stays ignored
/// (<c>nohup</c>, or a script's job in the background, whose Ctrl-C is not meant for it): .NET registers no handler over it, and none is forced. SIGTERM always stops.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;
    private Action _onSecond = () => { };
    private int _count;

    public StopSignals()
    {
        PosixSignal[] signals = [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP];
        _registrations = [.. signals.Select(signal => PosixSignalRegistration.Create(signal, OnSignal))];
    }

    public CancellationToken Stop => _stop.Token;

    /// <summary>Whether a second signal came.</summary>
    public bool CutShort => Volatile.Read(ref _count) > 1;

    public void OnSecond(Action action) => _onSecond = action;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
        _stop.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true; // this process ends by itself, after its children
        if (Interlocked.Increment(ref _count) == 1) _stop.Cancel();
        else _onSecond();
    }
}
