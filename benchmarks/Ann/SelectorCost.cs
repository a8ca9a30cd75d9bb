using System.Diagnostics;

namespace Mesh.Benchmarks.Ann;

/// <summary>
/// Microseconds a query, outside the search: what it takes to make FAISS's selector of one bitmap per value, on one thread and on two that
/// do one query each, and to parse FeedMesh's filter and compile it to a plan.
/// </summary>
internal sealed record SelectorCost(double OneUs, double TwoUs, double CompileUs)
{
    // Code that has just begun is compiled again meanwhile, which took a selector from 84 to 400 us.
    private const double WarmUpSeconds = 0.5, RoundSeconds = 0.2;

    public static SelectorCost Measure(ValueBitmaps bitmaps, FeedMeshIndex index, AnnFilterSet filters, int rounds)
    {
        if (filters.IsOpen) return new SelectorCost(0, 0, 0);

        int queries = filters.Conditions.Length;
        ulong[][] room = [new ulong[bitmaps.Words], new ulong[bitmaps.Words]];
        void Half(int half)
        {
            for (int query = half; query < queries; query += 2) bitmaps.Select(filters.Conditions[query], room[half]);
        }

        void Both()
        {
            var other = new Thread(() => Half(1));
            other.Start();
            Half(0);
            other.Join();
        }

        void One()
        {
            Half(0);
            Half(1);
        }

        void Compile()
        {
            for (int query = 0; query < queries; query++) index.Compile(filters, query);
        }

        Action[] cases = [One, Both, Compile];
        List<double>[] us = [[], [], []];
        for (int round = -1; round < rounds; round++)
        {
            for (int i = 0; i < cases.Length; i++)
            {
                double seconds = round < 0 ? WarmUpSeconds : RoundSeconds;
                long started = Stopwatch.GetTimestamp();
                int times = 0;
                for (; times == 0 || Stopwatch.GetElapsedTime(started).TotalSeconds < seconds; times++) cases[i]();
                if (round >= 0) us[i].Add(Stopwatch.GetElapsedTime(started).TotalMicroseconds / times / queries);
            }
        }

        return new SelectorCost(AnnSweep.Median(us[0]), AnnSweep.Median(us[1]), AnnSweep.Median(us[2]));
    }

    /// <summary>Queries per second of FAISS with its selector made for each.</summary>
    public double FaissQps(double searchQps, bool isBatch) => 1 / ((1 / searchQps) + ((isBatch ? TwoUs : OneUs) / 1e6));

    /// <summary>Queries per second of FeedMesh with its filter compiled for each.</summary>
    public double FeedMeshQps(double searchQps, bool isBatch) => 1 / ((1 / searchQps) + (CompileUs / (isBatch ? 2 : 1) / 1e6));
}
