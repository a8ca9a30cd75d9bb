using System.Diagnostics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Mesh.Numerics;

namespace Mesh.Benchmarks;

/// <summary>
/// The kernels of the vector index on random rows: flat scans beside a plain read of 1 GB in the same run, and the instruction
/// sets, selection, re-scoring, centroids and rows of bits in the cache. Every round runs every case, so what else the machine does
/// meets all of them; the best round and the median are shown.
/// </summary>
internal sealed class ScanBenchmark : IBenchmark
{
    private sealed record Case(string Name, double Bytes, double Items, int Threads, Action<int> Part);

    public string Name => "scan";

    public string Summary => "kernels of the vector index: GB/s beside a plain read, ladder of instruction sets";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["rows"] = "1000000",
        ["dimensions"] = "64,128",
        ["rounds"] = "8",
        ["threads"] = "1,2",
        ["read-mb"] = "1024",
    };

    public Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        var figures = new Figures();
        int rounds = Math.Max(1, options.Int("rounds"));
        int[] threads = options.Ints("threads");
        int groups = Math.Max(1, options.Int("rows") / Int8Rows.GroupRows);
        long bytes = options.Int("read-mb") * 1_048_576L;
        foreach (int dimensions in options.Ints("dimensions")) bytes += (long)groups * Int8Rows.GroupBytes(dimensions);
        if (bytes > 8L << 30) throw new ArgumentException($"These options take {bytes >> 20} MB; the limit is 8,192. Ask for fewer --rows or less --read-mb.");

        var plain = new AlignedBuffer<ulong>(options.Int("read-mb") * (1_048_576 / sizeof(ulong)));
        plain.Span.Fill(1);
        foreach (int dimensions in options.Ints("dimensions"))
        {
            AlignedBuffer<byte> blocks = RandomRows(groups, dimensions, seed: dimensions);
            Case[] cases = [.. threads.SelectMany(count => FlatCases(plain, blocks, groups, dimensions, count))];
            Measure(cases, rounds, $"flat scan: {groups * Int8Rows.GroupRows:N0} rows of {dimensions} bytes", "plain", figures, $"d{dimensions}", cancellation);
        }

        Measure(Ladder(), rounds, "in the cache: 16,384 rows of 64 bytes, one thread", "scan Scalar", figures, "cache", cancellation);
        Measure(Others(), rounds, "beside the scan, one thread", null, figures, "other", cancellation);
        return Task.FromResult(figures);
    }

    private static IEnumerable<Case> FlatCases(AlignedBuffer<ulong> plain, AlignedBuffer<byte> blocks, int groups, int dimensions, int threads)
    {
        double rows = (double)groups * Int8Rows.GroupRows;
        yield return new Case("plain read", plain.Length * 8.0, plain.Length, threads, part =>
        {
            (int from, int to) = Share(plain.Length, part, threads);
            Sum(plain.Span[from..to]);
        });
        foreach ((int queries, int best) in new[] { (1, 0), (1, 200), (1, 2_048), (2, 0), (4, 0), (4, 200) })
        {
            ScanHits[][] hits = [.. Enumerable.Range(0, threads).Select(_ => Hits(queries, best, dimensions))];
            yield return new Case($"{queries} {(queries == 1 ? "query" : "queries")}, {(best == 0 ? "no top-k" : $"top {best:N0}")}", rows * dimensions * queries, rows * queries, threads, part =>
            {
                (int from, int to) = Share(groups, part, threads);
                int groupBytes = Int8Rows.GroupBytes(dimensions);
                Scan(blocks.Span[(from * groupBytes)..(to * groupBytes)], [], hits[part], best, SimdLevel.Best);
            });
        }

        var random = new Random(1);
        ulong[] filter = new ulong[groups];
        for (int i = 0; i < groups * Int8Rows.GroupRows / 100; i++) filter[random.Next(groups)] |= 1UL << random.Next(Int8Rows.GroupRows);
        ScanHits[][] filtered = [.. Enumerable.Range(0, threads).Select(_ => Hits(1, 200, dimensions))];
        yield return new Case("1 query, 1 % of rows admitted, top 200", rows * dimensions, rows, threads, part =>
        {
            (int from, int to) = Share(groups, part, threads);
            int groupBytes = Int8Rows.GroupBytes(dimensions);
            Scan(blocks.Span[(from * groupBytes)..(to * groupBytes)], filter.AsSpan(from, to - from), filtered[part], 200, SimdLevel.Best);
        });
    }

    private static Case[] Ladder()
    {
        const int Groups = 256, Dimensions = 64, Repeats = 20;
        AlignedBuffer<byte> blocks = RandomRows(Groups, Dimensions, seed: 1);
        double rows = Groups * Int8Rows.GroupRows;
        return
        [
            .. from level in Enum.GetValues<SimdLevel>()
               where level != SimdLevel.Best && level.IsSupported()
               let hits = Hits(1, 0, Dimensions)
               let repeats = level == SimdLevel.Scalar ? 1 : Repeats
               select new Case($"scan {level}", rows * Dimensions * repeats, rows * repeats, 1, _ =>
               {
                   for (int i = 0; i < repeats; i++) Scan(blocks.Span, [], hits, 0, level);
               }),
            .. from queries in new[] { 2, 4 }
               let hits = Hits(queries, 0, Dimensions)
               select new Case($"{queries} queries", rows * Dimensions * Repeats * queries, rows * Repeats * queries, 1, _ =>
               {
                   for (int i = 0; i < Repeats; i++) Scan(blocks.Span, [], hits, 0, SimdLevel.Best);
               }),
        ];
    }

    private static IEnumerable<Case> Others()
    {
        foreach ((int n, int k) in new[] { (1_000, 200), (8_192, 2_048), (40_000, 10_000) })
        {
            int[] dots = Normal(n, seed: 2), scores = new int[n], ordinals = new int[n];
            var (heapScores, heapOrdinals) = (new float[k], new int[k]);
            yield return new Case($"best {k:N0} of {n:N0}: heap", n * 8.0, n, 1, _ =>
            {
                var top = new TopK(heapScores, heapOrdinals);
                for (int i = 0; i < n; i++) top.Offer(dots[i], i);
            });
            yield return new Case($"best {k:N0} of {n:N0}: selection", n * 8.0, n, 1, _ =>
            {
                dots.CopyTo(scores.AsSpan());
                for (int i = 0; i < n; i++) ordinals[i] = i;
                TopSelect.Keep(scores, ordinals, k);
            });
        }

        foreach (Case one in Rescoring().Concat(Coarse()).Concat(Bits())) yield return one;
    }

    private static IEnumerable<Case> Rescoring()
    {
        const int Rows = 500_000, Dimensions = 64, Picked = 2_560;
        var matrix = new AlignedBuffer<float>(Rows * Dimensions);
        var random = new Random(3);
        matrix.Span.Fill(0.1f);
        float[] query = Vector(Dimensions, random), scores = new float[Picked];
        var rows = new int[Picked];
        double bytes = (double)Picked * Dimensions * sizeof(float);
        yield return new Case($"{Picked:N0} scattered float rows: one by one", bytes, Picked, 1, _ =>
        {
            Draw();
            for (int i = 0; i < Picked; i++) scores[i] = TensorPrimitives.Dot(query, matrix.Span.Slice(rows[i] * Dimensions, Dimensions));
        });
        yield return new Case($"{Picked:N0} scattered float rows: fetched ahead", bytes, Picked, 1, _ =>
        {
            Draw();
            RowDots.Gather(query, matrix.Span, rows, scores);
        });

        void Draw()
        {
            for (int i = 0; i < Picked; i++) rows[i] = random.Next(Rows);
        }
    }

    private static IEnumerable<Case> Coarse()
    {
        const int Count = 1_024, Dimensions = 64, Probes = 32;
        var random = new Random(4);
        float[] query = Vector(Dimensions, random), centroids = [.. Enumerable.Range(0, Count).SelectMany(_ => Vector(Dimensions, random))];
        int[] scores = new int[Count], ordinals = new int[Count];
        AlignedBuffer<byte> blocks = RandomRows(Count / Int8Rows.GroupRows, Dimensions, seed: 5);
        var hits = new ScanHits(Count + Int8Rows.GroupRows);
        yield return new Case($"{Probes} of {Count:N0} centroids: float32", Count * Dimensions * 4.0, Count, 1, _ => Centroids.Nearest(query, centroids, Probes, scores, ordinals));
        yield return new Case($"{Probes} of {Count:N0} centroids: int8", Count * Dimensions, Count, 1, _ =>
        {
            hits.Begin(new Int8Query(query, 0.01f));
            Int8Scan.Run(blocks.Span, [], 0, [hits]);
            hits.KeepBest(Probes);
        });
    }

    private static IEnumerable<Case> Bits()
    {
        const int Words = 4_096, Repeats = 100;
        ulong[] x = new ulong[Words], y = new ulong[Words], destination = new ulong[Words];
        foreach (SimdLevel level in Enum.GetValues<SimdLevel>().Where(level => level != SimdLevel.Best && level.IsSupported()))
        {
            yield return new Case($"AND of rows of {Words * 64:N0} bits: {level}", 2.0 * 8 * Words * Repeats, Words * Repeats, 1, _ =>
            {
                for (int i = 0; i < Repeats; i++) BitWords.And(x, y, destination, level);
            });
        }

        long bits = 0;
        yield return new Case($"count of {Words * 64:N0} bits", 8.0 * Words * Repeats, Words * Repeats, 1, _ =>
        {
            for (int i = 0; i < Repeats; i++) bits += BitWords.PopCount(x);
        });
    }

    // Rates are of all rows' bytes times queries, read or skipped; the ratio is to the first case with as many threads whose name begins so.
    private static void Measure(IEnumerable<Case> from, int rounds, string title, string? reference, Figures figures, string prefix, CancellationToken cancellation)
    {
        Case[] cases = [.. from];
        var seconds = cases.Select(_ => new List<double>()).ToArray();
        // Warm rounds are longer, so that the compiler's last tier is reached.
        for (int round = -2; round < rounds; round++)
        {
            for (int i = 0; i < cases.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                long began = Stopwatch.GetTimestamp();
                do
                {
                    long started = Stopwatch.GetTimestamp();
                    if (cases[i].Threads == 1) cases[i].Part(0);
                    else Parallel.For(0, cases[i].Threads, cases[i].Part);
                    if (round >= 0) seconds[i].Add(Stopwatch.GetElapsedTime(started).TotalSeconds);
                }
                while (Stopwatch.GetElapsedTime(began).TotalMilliseconds < (round < 0 ? 150 : 10));
            }
        }

        var rows = new List<string[]>();
        for (int i = 0; i < cases.Length; i++)
        {
            Case one = cases[i];
            double best = seconds[i].Min(), rate = one.Bytes / best / 1e9, median = one.Bytes / seconds[i].Order().ElementAt(seconds[i].Count / 2) / 1e9;
            int basis = reference is null ? -1 : Array.FindIndex(cases, other => other.Threads == one.Threads && other.Name.StartsWith(reference, StringComparison.Ordinal));
            double ratio = basis < 0 ? double.NaN : rate / (cases[basis].Bytes / seconds[basis].Min() / 1e9);
            rows.Add([one.Name, $"{one.Threads}", $"{best * 1e3:0.000}", $"{rate:0.0}", $"{median:0.0}", double.IsNaN(ratio) ? "" : $"{ratio:0.00}", $"{best * 1e9 / one.Items:0.00}"]);
            string key = $"{prefix}_{string.Join('_', one.Name.Split([' ', ',', ':'], StringSplitOptions.RemoveEmptyEntries))}_threads_{one.Threads}".ToLowerInvariant();
            figures[$"{key}_gb_per_s"] = rate;
            figures[$"{key}_ns_per_row"] = best * 1e9 / one.Items;
            if (!double.IsNaN(ratio)) figures[$"{key}_ratio"] = ratio;
        }

        Figures.Print(title, ["case", "threads", "best ms", "GB/s", "median GB/s", reference is null ? "" : $"to {reference}", "ns/row"], rows);
    }

    private static void Scan(ReadOnlySpan<byte> blocks, ReadOnlySpan<ulong> admitted, ScanHits[] hits, int best, SimdLevel level)
    {
        foreach (ScanHits one in hits) one.Begin(one.Query, best == 0 ? int.MaxValue : int.MinValue);
        int groups = blocks.Length / Int8Rows.GroupBytes(hits[0].Query.Dimensions);
        for (int group = 0; (group = Int8Scan.Run(blocks, admitted, 0, hits, group, level)) < groups;)
        {
            foreach (ScanHits one in hits)
            {
                if (one.IsFull) one.KeepBest(best);
            }
        }

        if (best == 0) return;
        foreach (ScanHits one in hits) one.KeepBest(best);
    }

    private static ScanHits[] Hits(int queries, int best, int dimensions) => [.. Enumerable.Range(0, queries).Select(q =>
    {
        var hits = new ScanHits((4 * best) + Int8Rows.GroupRows);
        hits.Begin(new Int8Query(Vector(dimensions, new Random(q)), 0.01f));
        return hits;
    })];

    private static (int From, int To) Share(int count, int part, int parts) => ((int)((long)count * part / parts), (int)((long)count * (part + 1) / parts));

    private static ulong Sum(ReadOnlySpan<ulong> words) => TensorPrimitives.Sum(words);

    private static float[] Vector(int dimensions, Random random) => [.. Enumerable.Range(0, dimensions).Select(_ => (random.NextSingle() * 2) - 1)];

    // Sums of bytes: dots of random rows lie as those of real ones do, most of them in the middle.
    private static int[] Normal(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(50_000) + random.Next(50_000) + random.Next(50_000))];
    }

    private static AlignedBuffer<byte> RandomRows(int groups, int dimensions, int seed)
    {
        var blocks = new AlignedBuffer<byte>(groups * Int8Rows.GroupBytes(dimensions));
        new Random(seed).NextBytes(blocks.Span);
        return blocks;
    }
}
