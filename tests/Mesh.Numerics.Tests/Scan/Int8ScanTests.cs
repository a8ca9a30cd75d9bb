namespace Mesh.Numerics.Tests;

public sealed class Int8ScanTests
{
    public static TheoryData<SimdLevel, int> Dimensions => Levels.With(1, 4, 5, 8, 12, 60, 64, 67, 128, 384);

    public static TheoryData<SimdLevel> Supported => Levels.Supported;

    [Theory, MemberData(nameof(Dimensions))]
    public void Every_row_is_scored_as_by_the_definition(SimdLevel level, int dimensions)
    {
        var set = new Rows(groups: 5, dimensions, seed: 1);
        ScanHits hits = Begin(set.Query(2), capacity: 5 * 64);

        int end = Int8Scan.Run(set.Blocks, [], 1_000, [hits], 0, level);

        Assert.Equal(5, end);
        Assert.Equal(set.Expected(hits.Query, 1_000, _ => true, int.MinValue), Pairs(hits));
    }

    [Theory, MemberData(nameof(Dimensions))]
    public void Only_admitted_rows_above_the_threshold_are_appended(SimdLevel level, int dimensions)
    {
        var set = new Rows(groups: 40, dimensions, seed: 3);
        ulong[] admitted = Masks(40, seed: 4);
        Int8Query query = set.Query(5);
        int threshold = Median(set, query);
        ScanHits hits = Begin(query, capacity: 40 * 64, threshold);

        Int8Scan.Run(set.Blocks, admitted, 0, [hits], 0, level);

        Assert.Equal(set.Expected(query, 0, row => (admitted[row / 64] >> (row % 64) & 1) != 0, threshold), Pairs(hits));
        Assert.NotEqual(0, hits.Count);
    }

    [Theory, MemberData(nameof(Supported))]
    public void Queries_scanned_together_find_what_each_finds_alone(SimdLevel level)
    {
        const int Groups = 16;
        var set = new Rows(Groups, 64, seed: 6);
        for (int count = 1; count <= 4; count++)
        {
            ulong[] admitted = [.. Enumerable.Range(0, count).SelectMany(q => Masks(Groups, seed: 10 + q))];
            ScanHits[] together = [.. Enumerable.Range(0, count).Select(q => Begin(set.Query(20 + q), Groups * 64))];

            Int8Scan.Run(set.Blocks, admitted, 7, together, 0, level);

            for (int q = 0; q < count; q++)
            {
                ScanHits alone = Begin(set.Query(20 + q), Groups * 64);
                Int8Scan.Run(set.Blocks, Masks(Groups, seed: 10 + q), 7, [alone], 0, SimdLevel.Scalar);
                Assert.Equal(Pairs(alone), Pairs(together[q]));
            }
        }
    }

    [Theory, MemberData(nameof(Supported))]
    public void One_filter_can_serve_all_queries(SimdLevel level)
    {
        var set = new Rows(groups: 8, 16, seed: 7);
        ulong[] admitted = Masks(8, seed: 8);
        ScanHits[] hits = [Begin(set.Query(1), 512), Begin(set.Query(2), 512), Begin(set.Query(3), 512)];

        Int8Scan.Run(set.Blocks, admitted, 0, hits, 0, level);

        Assert.All(hits, one => Assert.Equal(set.Expected(one.Query, 0, row => (admitted[row / 64] >> (row % 64) & 1) != 0, int.MinValue), Pairs(one)));
    }

    [Theory, MemberData(nameof(Supported))]
    public void A_scan_stops_before_a_full_buffer_and_goes_on_after_a_selection(SimdLevel level)
    {
        const int Groups = 50, Best = 30;
        var set = new Rows(Groups, 20, seed: 9);
        ScanHits[] hits = [Begin(set.Query(1), 100), Begin(set.Query(2), 1_000)];
        int stops = 0;

        for (int group = 0; (group = Int8Scan.Run(set.Blocks, [], 0, hits, group, level)) < Groups; stops++)
        {
            Assert.Contains(hits, one => one.IsFull);
            foreach (ScanHits full in hits.Where(one => one.IsFull)) full.KeepBest(Best);
        }

        foreach (ScanHits one in hits)
        {
            one.KeepBest(Best);
            (int Dot, int Ordinal)[] expected = [.. set.Expected(one.Query, 0, _ => true, int.MinValue)];
            Assert.Equal(expected.Select(pair => pair.Dot).OrderDescending().Take(Best), Pairs(one).Select(pair => pair.Dot).OrderDescending());
            Assert.Subset(expected.ToHashSet(), Pairs(one).ToHashSet());
        }

        Assert.True(stops > 1);
    }

    [Theory, MemberData(nameof(Supported))]
    public void Extreme_bytes_and_queries_do_not_overflow(SimdLevel level)
    {
        // 255 * 63 * 2 is the largest sum of a pair, -255 * 63 * 2 the lowest: both must not be limited to an int16.
        byte[] blocks = [.. Enumerable.Repeat((byte)255, Int8Rows.GroupBytes(64))];
        ScanHits high = Begin(new Int8Query([.. Enumerable.Repeat(1f, 64)], 1), 64);
        ScanHits low = Begin(new Int8Query([.. Enumerable.Repeat(-1f, 64)], 1), 64);

        Int8Scan.Run(blocks, [], 0, [high, low], 0, level);

        Assert.All(high.Dots.ToArray(), dot => Assert.Equal(255 * 63 * 64, dot));
        Assert.All(low.Dots.ToArray(), dot => Assert.Equal(-255 * 63 * 64, dot));
    }

    [Theory, MemberData(nameof(Supported))]
    public void Nothing_is_found_in_no_rows_behind_a_closed_filter_or_under_the_highest_threshold(SimdLevel level)
    {
        var set = new Rows(groups: 3, 8, seed: 1);
        ScanHits hits = Begin(set.Query(1), 64);

        Assert.Equal(0, Int8Scan.Run([], [], 0, [hits], 0, level));
        Assert.Equal(3, Int8Scan.Run(set.Blocks, new ulong[3], 0, [hits], 0, level));
        Assert.Equal(3, Int8Scan.Run(set.Blocks, [], 0, [hits], 3, level));
        hits.Threshold = int.MaxValue;
        Assert.Equal(3, Int8Scan.Run(set.Blocks, [], 0, [hits], 0, level));
        Assert.Equal(0, hits.Count);
    }

    [Fact]
    public void Sizes_that_do_not_fit_together_are_refused()
    {
        var set = new Rows(groups: 3, 8, seed: 1);
        ScanHits hits = Begin(set.Query(1), 64);
        ScanHits other = Begin(new Int8Query(new float[12], 1), 64);

        Assert.Throws<ArgumentException>(() => Int8Scan.Run(set.Blocks.AsSpan(1), [], 0, [hits]));
        Assert.Throws<ArgumentException>(() => Int8Scan.Run(set.Blocks, new ulong[2], 0, [hits]));
        Assert.Throws<ArgumentException>(() => Int8Scan.Run(set.Blocks, [], 0, [hits, other]));
        Assert.Throws<ArgumentException>(() => Int8Scan.Run(set.Blocks, [], 0, []));
        Assert.Throws<ArgumentException>(() => Int8Scan.Run(set.Blocks, [], 0, [hits, hits, hits, hits, hits]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Scan.Run(set.Blocks, [], -1, [hits]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Scan.Run(set.Blocks, [], int.MaxValue - 100, [hits]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Scan.Run(set.Blocks, [], 0, [hits], 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ScanHits(63));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ScanHits(100).KeepBest(37));
        Assert.Throws<InvalidOperationException>(() => Int8Scan.Run(set.Blocks, [], 0, [new ScanHits(64)]));
    }

    [Theory, MemberData(nameof(Supported))]
    public void A_scan_allocates_nothing(SimdLevel level)
    {
        var set = new Rows(groups: 10, 64, seed: 1);
        ScanHits[] hits = [Begin(set.Query(1), 1_000)];
        Int8Scan.Run(set.Blocks, [], 0, hits, 0, level);
        hits[0].KeepBest(100);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Int8Scan.Run(set.Blocks, [], 0, hits, 0, level);
        hits[0].KeepBest(100);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static ScanHits Begin(Int8Query query, int capacity, int threshold = int.MinValue)
    {
        var hits = new ScanHits(capacity);
        hits.Begin(query, threshold);
        return hits;
    }

    private static (int Dot, int Ordinal)[] Pairs(ScanHits hits) => [.. hits.Dots.ToArray().Zip(hits.Ordinals.ToArray())];

    private static int Median(Rows set, Int8Query query)
    {
        int[] dots = [.. set.Expected(query, 0, _ => true, int.MinValue).Select(pair => pair.Dot).Order()];
        return dots[dots.Length / 2];
    }

    // Words of every kind: none, all, one row, one block, a few, random.
    private static ulong[] Masks(int words, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, words).Select(i => (i % 7) switch
        {
            0 => 0UL,
            1 => ulong.MaxValue,
            2 => 1UL << random.Next(64),
            3 => 0xFFFFUL << (16 * random.Next(4)),
            4 => (ulong)random.NextInt64() & (ulong)random.NextInt64() & (ulong)random.NextInt64() & (ulong)random.NextInt64(),
            5 => 1UL << 63 | 1,
            _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
        })];
    }

    // Random bytes, 0 and 255 among them, as no vector would give: the scan takes any.
    private sealed class Rows
    {
        private readonly int _dimensions;
        private readonly int _rows;

        public Rows(int groups, int dimensions, int seed)
        {
            _dimensions = dimensions;
            _rows = groups * 64;
            Blocks = new byte[groups * Int8Rows.GroupBytes(dimensions)];
            new Random(seed).NextBytes(Blocks);
        }

        public byte[] Blocks { get; }

        public Int8Query Query(int seed) => new(Vectors.Random(_dimensions, seed), 0.01f);

        public IEnumerable<(int Dot, int Ordinal)> Expected(Int8Query query, int firstOrdinal, Func<int, bool> admitted, int threshold)
        {
            for (int row = 0; row < _rows; row++)
            {
                int dot = 0;
                for (int d = 0; d < _dimensions; d++) dot += Int8Rows.At(Blocks, Int8Rows.RowBytes(_dimensions), row, d) * query.Values[d];
                if (admitted(row) && dot > threshold) yield return (dot, firstOrdinal + row);
            }
        }
    }
}
