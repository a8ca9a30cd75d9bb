using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Retrieval;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Spectre.Console;

namespace Mesh.Benchmarks;

/// <summary>
/// A replica of retrieval from a snapshot on local disk to an index that could serve: each load in a process of its own, with the
/// server's garbage collector, so that nothing is compiled or warm but the pages of the files. Compared are the load row by row and the load in bulk.
/// </summary>
internal sealed class ColdStartBenchmark : IBenchmark
{
    private const string RowByRow = "row by row";

    private static readonly string[] Ways = [RowByRow, "bulk, files read", "bulk, files mapped"];

    public string Name => "coldstart";

    public string Summary => "seconds from a snapshot on disk to an index that serves, by phase, and bytes per item";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["items"] = "1000000",
        ["dimensions"] = "64",
        ["runs"] = "3",
        ["dir"] = "",
        ["seed"] = "1",
        ["child"] = "", // a way: this process loads, and prints what it measured
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        if (options["child"].Length > 0) return await LoadAsync(options, cancellation);

        string directory = options["dir"].Length > 0 ? options["dir"] : Path.Combine(Path.GetTempPath(), $"feedmesh-coldstart-{Guid.NewGuid():N}");
        try
        {
            var blobs = new DirectorySnapshotBlobs(directory);
            SnapshotManifest? manifest = await new SnapshotReader(blobs).ReadLatestAsync(0, cancellation);
            if (manifest is null || manifest.Items != options.Int("items") || manifest.Dimensions != options.Int("dimensions"))
            {
                AnsiConsole.WriteLine($"Writing a snapshot of {options["items"]} x {options["dimensions"]}");
                manifest = await SyntheticSnapshot.WriteAsync(blobs, options.Int("items"), options.Int("dimensions"), options.Int("seed"), cancellation);
            }

            return await CompareAsync(options, directory, manifest, cancellation);
        }
        finally
        {
            if (options["dir"].Length == 0 && Directory.Exists(directory)) Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task<Figures> CompareAsync(BenchmarkOptions options, string directory, SnapshotManifest manifest, CancellationToken cancellation)
    {
        var measured = Ways.ToDictionary(way => way, _ => new List<Load>());
        for (int run = 0; run < options.Int("runs"); run++)
        {
            foreach (string way in Ways) measured[way].Add(await RunChildAsync(way, directory, options, cancellation)); // interleaved: noise meets all
        }

        var figures = new Figures();
        Load before = Median(measured[RowByRow]);
        var rows = new List<string[]>();
        foreach (string way in Ways)
        {
            Load load = Median(measured[way]);
            double ratio = before.Seconds / load.Seconds;
            rows.Add([way, $"{ratio:0.0}", $"{load.Seconds:0.00}", $"{load.StartSeconds:0.00}", $"{load.CpuSeconds:0.0}", $"{load.PausedSeconds:0.00} ({load.Collections})", load.Phases, $"{load.HeapBytesPerItem:0}", $"{load.SaidBytesPerItem:0}", $"{load.PeakBytesPerItem:0}"]);
            string name = way.Replace(", ", "_", StringComparison.Ordinal).Replace(' ', '_');
            figures[$"{name}_seconds"] = load.Seconds;
            figures[$"{name}_ratio"] = ratio;
            figures[$"{name}_bytes_per_item"] = load.HeapBytesPerItem;
        }

        double gigabytes = manifest.Files.Sum(file => file.Bytes) / 1e9;
        Figures.Print(
            $"coldstart: {manifest.Items} x {manifest.Dimensions}, {manifest.Files.Count} files, {gigabytes:0.00} GB, {Environment.ProcessorCount} cores, median of {options["runs"]} processes",
            ["load", "ratio", "s", "s before", "CPU s", "s in GC (n)", "ms by phase", "B/item", "it says", "peak"], rows);
        return figures;
    }

    private static Load Median(List<Load> loads) => loads.OrderBy(load => load.Seconds).ElementAt(loads.Count / 2);

    private static async Task<Load> RunChildAsync(string way, string directory, BenchmarkOptions options, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(ColdStartBenchmark).Assembly.Location);
        foreach (string argument in (string[])["coldstart", "--child", way, "--dir", directory, "--items", options["items"]]) start.ArgumentList.Add(argument);
        start.Environment["DOTNET_gcServer"] = "1"; // as ASP.NET has it
        using Process process = Process.Start(start)!;
        string output = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return process.ExitCode == 0 ? JsonSerializer.Deserialize<Load>(output)! : throw new InvalidOperationException($"The load '{way}' ended with {process.ExitCode}.");
    }

    private static async Task<Figures> LoadAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        double startSeconds = (TimeProvider.System.GetLocalNow().DateTime - Process.GetCurrentProcess().StartTime).TotalSeconds;
        var directory = new DirectorySnapshotBlobs(options["dir"]);
        ISnapshotBlobs blobs = options["child"] == "bulk, files read" ? new ReadBlobs(directory) : directory;
        long started = Stopwatch.GetTimestamp();
        (LiveIndex index, string phases) = options["child"] == RowByRow
            ? (await RowByRowAsync(blobs, options, cancellation), "")
            : await BulkAsync(blobs, options, cancellation);
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double cpuSeconds = Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;
        double pausedSeconds = GC.GetTotalPauseDuration().TotalSeconds;
        int collections = GC.CollectionCount(0);
        long peakBytes = Process.GetCurrentProcess().PeakWorkingSet64;
        double heapBytes = GC.GetTotalMemory(forceFullCollection: true);
        var load = new Load(seconds, startSeconds, cpuSeconds, pausedSeconds, collections, phases, heapBytes / index.Items, (double)index.Bytes / index.Items, (double)peakBytes / index.Items);
        AnsiConsole.Profile.Out.Writer.WriteLine(JsonSerializer.Serialize(load));
        GC.KeepAlive(index);
        return new Figures();
    }

    // As it was before there was a bulk load, and as deltas are applied.
    private static async Task<LiveIndex> RowByRowAsync(ISnapshotBlobs blobs, BenchmarkOptions options, CancellationToken cancellation)
    {
        var reader = new SnapshotReader(blobs);
        SnapshotManifest manifest = (await reader.ReadLatestAsync(0, cancellation))!;
        var index = new LiveIndex(
            new IndexOrigin(manifest.Version, manifest.ModelVersion, manifest.Sequence, 72), IndexLimits.From(Limits(options)), TimeProvider.System);
        await foreach (SnapshotRows rows in reader.ReadRowsAsync(manifest, cancellation))
        {
            for (int i = 0; i < rows.Count; i++) index.Load(rows.ToItemRow(i), out _);
        }

        return index;
    }

    private static async Task<(LiveIndex Index, string Phases)> BulkAsync(ISnapshotBlobs blobs, BenchmarkOptions options, CancellationToken cancellation)
    {
        using ServiceProvider services = new ServiceCollection()
            .AddMetrics().AddLogging()
            .AddSingleton(TimeProvider.System)
            .AddSingleton<IOptions<RetrievalOptions>>(Microsoft.Extensions.Options.Options.Create(Limits(options)))
            .AddSingleton<IOptions<InferenceOptions>>(Microsoft.Extensions.Options.Options.Create(new InferenceOptions())).AddSingleton<InferenceRuntime>()
            .AddSingleton(blobs).AddSingleton<IDeltaFeed>(new NewestSnapshot(blobs))
            .AddSingleton<IndexHolder>().AddSingleton<FollowerState>().AddSingleton<RetrievalMetrics>().AddSingleton<RefusedRows>().AddSingleton<SnapshotLoader>()
            .BuildServiceProvider();
        SnapshotLoader loader = services.GetRequiredService<SnapshotLoader>();
        LiveIndex index = await loader.LoadLatestAsync(cancellation);
        return (index, $"{loader.LastTimes}");
    }

    private static RetrievalOptions Limits(BenchmarkOptions options) => new() { ItemsMax = options.Int("items") };

    private sealed record Load(
        double Seconds, double StartSeconds, double CpuSeconds, double PausedSeconds, int Collections, string Phases, double HeapBytesPerItem, double SaidBytesPerItem, double PeakBytesPerItem);

    // What a store gives that has no files to map: bytes on the heap.
    private sealed class ReadBlobs(ISnapshotBlobs blobs) : ISnapshotBlobs
    {
        public Task PutAsync(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation) => blobs.PutAsync(name, bytes, cancellation);

        public Task<byte[]?> GetAsync(string name, CancellationToken cancellation) => blobs.GetAsync(name, cancellation);

        public Task DeleteAsync(string name, CancellationToken cancellation) => blobs.DeleteAsync(name, cancellation);
    }

    private sealed class NewestSnapshot(ISnapshotBlobs blobs) : IDeltaFeed
    {
        public Task<SnapshotManifest?> GetLatestSnapshotAsync(CancellationToken cancellation) => new SnapshotReader(blobs).ReadLatestAsync(0, cancellation);

        public Task<IndexDeltaBatch> GetDeltasAsync(ulong after, int max, CancellationToken cancellation) =>
            Task.FromResult(new IndexDeltaBatch { HeadSequence = after });
    }
}
