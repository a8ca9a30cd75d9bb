using System.Globalization;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Retrieval;
using Mesh.Retrieval.Index;

namespace Mesh.Benchmarks;

/// <summary>
/// How long one delta may keep the writer of a replica from the next: items arrive one by one, and then each is changed in place to carry a
/// new tag, so that values become frequent while the index is as large as it gets. Told by processor time of the writer's thread, which other work on
/// the machine does not lengthen, and by the clock.
/// </summary>
internal sealed class PauseBenchmark : IBenchmark
{
    private const int ThreadClock = 3; // CLOCK_THREAD_CPUTIME_ID of Linux

    public string Name => "pause";

    public string Summary => "longest times that the writer of a replica takes for one delta, while values become frequent";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["items"] = "1000000",
        ["dimensions"] = "64",
        ["seed"] = "1",
    };

    public Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        int items = options.Int("items");
        var index = new LiveIndex(IndexOrigin.None(72), IndexLimits.From(new RetrievalOptions { ItemsMax = items }), TimeProvider.System);
        var figures = new Figures();
        var rows = new List<string[]>();
        ulong sequence = 0;
        foreach (string phase in (string[])["arrive", "change"])
        {
            List<(double CpuMs, double Ms)> taken = [];
            foreach (ItemRow row in SyntheticSnapshot.Rows(items, options.Int("dimensions"), options.Int("seed")))
            {
                cancellation.ThrowIfCancellationRequested();
                row.Version = ++sequence;
                if (phase == "change") row.Item.Tags.Add("late");
                var delta = new IndexDelta { Sequence = sequence, Upserted = row };
                (double cpuMs, double ms) = (CpuMs(), ElapsedMs());
                index.Apply(delta, out _);
                taken.Add((CpuMs() - cpuMs, ElapsedMs() - ms));
            }

            double[] cpu = [.. taken.Select(one => one.CpuMs).OrderDescending()], clock = [.. taken.Select(one => one.Ms).OrderDescending()];
            (figures[$"{phase}_longest_cpu_ms"], figures[$"{phase}_mean_cpu_ms"]) = (cpu[0], cpu.Average());
            string at = string.Join(' ', taken.Index().OrderByDescending(static one => one.Item.CpuMs).Take(4).Select(static one => $"{one.Index:N0}"));
            rows.Add([phase, Text(cpu[0]), Text(cpu[4]), Text(cpu[99]), $"{cpu.Count(static ms => ms > 5)}", Text(1_000 * cpu.Average()), Text(clock[0]), at, $"{((ClusteredVectorIndex)index.Vectors).Filters.FrequentValues}"]);
        }

        Figures.Print(
            $"pause: {items} x {options["dimensions"]}, one delta after the other",
            ["items", "longest, CPU ms", "5th", "100th", "over 5 ms", "mean, CPU us", "longest by the clock", "longest four at", "frequent values"], rows);
        GC.KeepAlive(index);
        return Task.FromResult(figures);
    }

    private static double ElapsedMs() => System.Diagnostics.Stopwatch.GetTimestamp() * 1_000.0 / System.Diagnostics.Stopwatch.Frequency;

    // Where there is no such clock, the clock on the wall.
    private static double CpuMs() => OperatingSystem.IsLinux() && GetTime(ThreadClock, out Time time) == 0 ? (time.Seconds * 1e3) + (time.Nanoseconds / 1e6) : ElapsedMs();

    private static string Text(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    [DllImport("libc", EntryPoint = "clock_gettime")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int GetTime(int clock, out Time time);

    private struct Time
    {
        public nint Seconds;
        public nint Nanoseconds;
    }
}
