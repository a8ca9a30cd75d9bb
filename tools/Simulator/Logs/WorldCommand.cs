using System.Globalization;
using Mesh.Simulator.Import;
using Mesh.Simulator.Synthetic;
using Spectre.Console;

namespace Mesh.Simulator.Logs;

/// <summary>The verb <c>world</c>: training data of synthetic worlds as files, without a running mesh.</summary>
internal static class WorldCommand
{
    /// <summary>When worlds end where nothing else is asked for: a fixed moment, so that the same options give the same bytes.</summary>
    private const string EndDefault = "2026-11-01T12:00:00Z";

    public static Flag[] Flags { get; } =
    [
        new("--seeds", "seeds of the worlds: 1-8 or 1,5,9", "LIST", Default: "1"),
        new("--users", "users of a world", "N", Default: "300"),
        new("--authors", "authors of a world", "N", Default: "100"),
        new("--items", "items of a world", "N", Default: "2000"),
        new("--requests", "feed requests of a world", "N", Default: "5000"),
        new("--live-percent", "share of the requests that come seconds apart on a mesh that has just started", "N", Default: "40"),
        new("--sequence-max", "newest events in a row, 1-8192", "N", Default: "512"),
        new("--days", "days that a world spans", "N", Default: "5"),
        new("--end", "when it ends, ISO 8601", "TIME", Default: EndDefault),
        new("--out", "folder for items.jsonl and rows.jsonl", "DIR"),
        new("--help", "this text"),
    ];

    public static async Task<int> RunAsync(CommandLineValues values, TimeProvider clock, CancellationToken cancellation)
    {
        string folder = values.Single("--out") ?? throw new CommandLineException("--out is missing: the folder to write to.");
        IReadOnlyList<int> seeds = values.Seeds("--seeds", "1");
        var size = new SyntheticOptions
        {
            Users = values.Number("--users", 300, 1, 100_000),
            Authors = values.Number("--authors", 100, 1, 100_000),
            Items = values.Number("--items", 2_000, 1, 1_000_000),
            Events = 0,
            Days = values.Number("--days", 5, 1, 3_650),
            End = values.Moment("--end", DateTimeOffset.Parse(EndDefault, CultureInfo.InvariantCulture)),
        };
        var options = new TrainingLogOptions
        {
            Requests = values.Number("--requests", 5_000, 1, 10_000_000),
            LiveShare = values.Number("--live-percent", 40, 0, 100) / 100.0,
            SequenceMax = values.Number("--sequence-max", 512, 1, 8_192),
        };

        long started = clock.GetTimestamp();
        IEnumerable<SyntheticWorld> worlds = seeds.Select(seed => SyntheticWorld.Create(size with { Seed = seed, IdPrefix = PrefixOf(seed) }));
        if (Console.IsOutputRedirected) TrainingFiles.Write(folder, worlds, options, new PlainProgress(Console.Out.WriteLine), cancellation);
        else await BarProgress.RunAsync(AnsiConsole.Console, progress => Task.Run(() => Write(progress), cancellation));

        double seconds = clock.GetElapsedTime(started).TotalSeconds;
        long rows = (long)options.Requests * seeds.Count;
        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{rows:N0} requests of {seeds.Count} worlds -> {folder}: {seconds:N1} s, {rows / seconds:N0} requests/s"));
        return 0;

        int Write(IImportProgress progress)
        {
            TrainingFiles.Write(folder, worlds, options, progress, cancellation);
            return 0;
        }
    }

    /// <summary>What the ids of a seed's world begin with, here and in a closed loop.</summary>
    public static string PrefixOf(int seed) => string.Create(CultureInfo.InvariantCulture, $"s{seed}-");
}
