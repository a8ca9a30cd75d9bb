using System.Globalization;
using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;
using Spectre.Console;

namespace Mesh.Simulator.Loop;

/// <summary>The verb <c>loop</c>: arm against arm on a running mesh.</summary>
internal static class LoopCommand
{
    private const int ArmsMax = 5;

    public static Flag[] Flags { get; } =
    [
        new("--url", "the gateway", "URL", Default: "http://localhost:8080"),
        new("--arms", "arms of the flag ranker, the one in question first", "LIST", Default: "transformer,heuristic"),
        new("--seeds", "seeds of the worlds: 101-103 or 101,105", "LIST", Default: "101,102,103"),
        new("--users", "users of a world in each arm", "N", Default: "200"),
        new("--requests-per-user", "requests of each user, 1-100", "N", Default: "30"),
        new("--page", $"items on a page, 1-{Limits.FeedLimitMax}", "N", Default: "10"),
        new("--items", "items of a world", "N", Default: "2000"),
        new("--authors", "authors of a world", "N", Default: "100"),
        new("--concurrency", "users served at the same time, 1-64", "N", Default: "4"),
        new("--patience", "seconds that the mesh may take to answer or to take in what it accepted", "N", Default: "120"),
        new("--run", "part of every id, so that a mesh can serve several runs", "NAME", Default: "from the clock"),
        new("--resamples", "resamples behind each interval", "N", Default: "2000"),
        new("--json", "where the result goes as JSON", "FILE"),
        new("--plot", "where the picture goes, an .svg", "FILE"),
        new("--help", "this text"),
    ];

    public static async Task<int> RunAsync(CommandLineValues values, Uri url, TimeProvider clock, CancellationToken cancellation)
    {
        LoopOptions options = Read(values, clock);
        string? plot = values.Single("--plot"), json = values.Single("--json");
        if (plot is not null && Path.GetExtension(plot) != ".svg") throw new CommandLineException($"--plot {plot}: only .svg is drawn.");

        using var api = new FeedApi(url, new RetryOptions { Patience = options.Patience }, clock);
        IReadOnlyList<SeedResult> seeds = Console.IsOutputRedirected
            ? await ServeAsync(new PlainProgress(Console.Out.WriteLine))
            : await BarProgress.RunAsync(AnsiConsole.Console, ServeAsync);

        var report = new LoopReport(options, seeds);
        await Console.Out.WriteAsync(report.ToTable());
        if (json is not null) await WriteAsync(json, report.ToJson(), cancellation);
        if (plot is not null) await WriteAsync(plot, LoopPlot.Draw(report), cancellation);
        return 0;

        Task<IReadOnlyList<SeedResult>> ServeAsync(IImportProgress progress) => new ClosedLoop(api, options, progress, clock).RunAsync(cancellation);
    }

    private static LoopOptions Read(CommandLineValues values, TimeProvider clock)
    {
        string[] arms = (values.Single("--arms") ?? "transformer,heuristic").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (arms.Length is 0 or > ArmsMax || arms.Distinct().Count() < arms.Length) throw new CommandLineException($"--arms {values.Single("--arms")}: expected 1 to {ArmsMax} different names.");
        string run = values.Single("--run") ?? clock.GetUtcNow().ToString("MMddHHmmss", CultureInfo.InvariantCulture);
        if (run.Length > 32 || !MeshId.IsValid(run)) throw new CommandLineException($"--run {run}: expected at most 32 characters of an id, {MeshId.Rule}.");
        return new LoopOptions
        {
            Arms = arms,
            Seeds = values.Seeds("--seeds", "101,102,103"),
            Users = values.Number("--users", 200, 2, 100_000),
            RequestsPerUser = values.Number("--requests-per-user", 30, 1, 100),
            PageItems = values.Number("--page", 10, 1, Limits.FeedLimitMax),
            Items = values.Number("--items", 2_000, 1, 1_000_000),
            Authors = values.Number("--authors", 100, 1, 100_000),
            Concurrency = values.Number("--concurrency", 4, 1, 64),
            Patience = TimeSpan.FromSeconds(values.Number("--patience", 120, 1, 86_400)),
            Run = run + "-",
            Resamples = values.Number("--resamples", 2_000, 100, 100_000),
        };
    }

    private static async Task WriteAsync(string path, string text, CancellationToken cancellation)
    {
        try
        {
            await File.WriteAllTextAsync(path, text, cancellation);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{path} cannot be written: {exception.Message}", exception);
        }
    }
}
