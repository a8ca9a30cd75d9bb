using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.KuaiRand;
using Mesh.Simulator.Logs;
using Mesh.Simulator.Loop;
using Mesh.Simulator.MovieLens;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;
using Spectre.Console;

namespace Mesh.Simulator;

/// <summary>
/// The simulator from its arguments to its exit code: 0 when every row was accepted, 1 when something was rejected or the import
/// broke off, 2 for wrong flags, 130 when interrupted.
/// </summary>
internal static class SimulatorCommand
{
    private const int RowsMax = 1_000_000_000;

    private static readonly Flag[] Shared =
    [
        new("--url", "the gateway", "URL", Default: "http://localhost:8080"),
        new("--batch", $"rows in one call, 1-{Limits.BatchMax}", "N", Default: "500"),
        new("--concurrency", "calls in flight, 1-64", "N", Default: "4"),
        new("--patience", "seconds that the gateway may stay away", "N", Default: "120"),
        new("--help", "this text"),
    ];

    private static readonly Flag[] FromFiles =
    [
        new("--path", "folder of the data set", "DIR"),
        new("--rows", "only the first N rows, and the items they name", "N"),
        new("--shift-to-now", "move all times so that the last event is now"),
    ];

    private static readonly Dictionary<string, (string Purpose, CommandLine Line)> Verbs = new(StringComparer.Ordinal)
    {
        ["synthetic"] = ("Loads a seeded synthetic world.", new CommandLine(
        [
            new("--seed", "seed of the world", "N", Default: "1"),
            new("--users", "users", "N", Default: "200"),
            new("--authors", "authors", "N", Default: "60"),
            new("--items", "items", "N", Default: "2000"),
            new("--events", "events", "N", Default: "20000"),
            new("--days", "days that it spans", "N", Default: "5"),
            new("--end", "when it ends, ISO 8601: the same seed and end give the same ids", "TIME", Default: "now"),
            .. Shared,
        ])),
        ["world"] = ("Writes training data of synthetic worlds: items.jsonl and rows.jsonl, as the mesh exports them.", new CommandLine(WorldCommand.Flags)),
        ["loop"] = ("Serves simulated users from a running mesh, arm against arm, and compares what they do.", new CommandLine(LoopCommand.Flags)),
        ["movielens"] = ("Loads MovieLens ratings (csv or dat, plain or xz).", new CommandLine([.. FromFiles, .. Shared])),
        ["kuairand"] = ("Loads KuaiRand logs (csv, plain or xz).", new CommandLine([.. FromFiles, .. Shared])),
    };

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is not [var verb, ..] || !Verbs.TryGetValue(verb, out (string Purpose, CommandLine Line) command))
        {
            bool asked = args is ["--help"];
            await (asked ? Console.Out : Console.Error).WriteLineAsync(Usage());
            return asked ? 0 : 2;
        }

        try
        {
            CommandLineValues values = command.Line.Parse(args[1..]);
            if (values.Has("--help"))
            {
                await Console.Out.WriteAsync(Usage(verb));
                return 0;
            }

            using var interrupted = new CancellationTokenSource();
            Console.CancelKeyPress += (_, pressed) =>
            {
                pressed.Cancel = true;
                interrupted.Cancel();
            };

            return verb switch
            {
                "world" => await WorldCommand.RunAsync(values, TimeProvider.System, interrupted.Token),
                "loop" => await LoopCommand.RunAsync(values, GatewayOf(values), TimeProvider.System, interrupted.Token),
                _ => await ImportAsync(verb, values, GatewayOf(values), TimeProvider.System, interrupted.Token),
            };
        }
        catch (CommandLineException exception)
        {
            await Console.Error.WriteLineAsync($"{exception.Message}{Environment.NewLine}{Environment.NewLine}{Usage(verb)}");
            return 2;
        }
        catch (Exception exception) when (exception is DataException or FeedApiException)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            return 1;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("Interrupted. What the mesh accepted stays; running the same again adds only the rest.");
            return 130;
        }
    }

    private static async Task<int> ImportAsync(string verb, CommandLineValues values, Uri url, TimeProvider clock, CancellationToken cancellation)
    {
        var retry = new RetryOptions { Patience = TimeSpan.FromSeconds(values.Number("--patience", 120, 1, 86_400)) };
        var options = new ImportOptions { BatchSize = values.Number("--batch", 500, 1, Limits.BatchMax), Concurrency = values.Number("--concurrency", 4, 1, 64) };
        IDataSet data = Open(verb, values, clock);
        using var api = new FeedApi(url, retry, clock);
        var importer = new Importer(api, options, clock);
        ImportSummary summary = Console.IsOutputRedirected
            ? await importer.RunAsync(data, new PlainProgress(Console.Out.WriteLine), cancellation)
            : await BarProgress.RunAsync(AnsiConsole.Console, progress => importer.RunAsync(data, progress, cancellation));

        await Console.Out.WriteAsync($"{data.Name} -> {url}{Environment.NewLine}{summary}");
        return summary.Rejected == 0 ? 0 : 1;
    }

    private static Uri GatewayOf(CommandLineValues values) => Uri.TryCreate(values.Single("--url") ?? "http://localhost:8080", UriKind.Absolute, out Uri? url)
        ? url
        : throw new CommandLineException($"--url {values.Single("--url")}: expected an address, e.g. http://localhost:8080.");

    private static IDataSet Open(string verb, CommandLineValues values, TimeProvider clock)
    {
        if (verb == "synthetic") return SyntheticWorld.Create(WorldOptions(values, clock));

        string path = values.Single("--path") ?? throw new CommandLineException("--path is missing: the folder of the data set.");
        int? rows = values.Has("--rows") ? values.Number("--rows", 0, 1, RowsMax) : null;
        (IDataSet data, Func<DateTimeOffset> last) = verb == "movielens" ? OpenMovieLens(path, rows) : OpenKuaiRand(path, rows);
        return values.Has("--shift-to-now") ? new ShiftedDataSet(data, clock.GetUtcNow() - last()) : data;
    }

    private static (IDataSet, Func<DateTimeOffset>) OpenMovieLens(string path, int? rows)
    {
        MovieLensDataSet data = MovieLensDataSet.Open(path, rows);
        return (data, () => data.LastEventAt);
    }

    private static (IDataSet, Func<DateTimeOffset>) OpenKuaiRand(string path, int? rows)
    {
        KuaiRandDataSet data = KuaiRandDataSet.Open(path, rows);
        return (data, data.LastEventAt);
    }

    private static SyntheticOptions WorldOptions(CommandLineValues values, TimeProvider clock) =>
        new()
        {
            Seed = values.Number("--seed", 1, 0, int.MaxValue),
            Users = values.Number("--users", 200, 1, 1_000_000),
            Authors = values.Number("--authors", 60, 1, 100_000),
            Items = values.Number("--items", 2_000, 1, 10_000_000),
            Events = values.Number("--events", 20_000, 0, 100_000_000),
            Days = values.Number("--days", 5, 1, 3_650),
            End = values.Moment("--end", clock.GetUtcNow()),
        };

    private static string Usage() => string.Join(Environment.NewLine, Verbs.Keys.Select(Usage));

    private static string Usage(string verb) => Verbs[verb].Line.Usage(Verbs[verb].Purpose, $"dotnet run --project tools/Simulator -- {verb} [flags]");
}
