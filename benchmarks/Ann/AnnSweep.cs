namespace Mesh.Benchmarks.Ann;

/// <summary>A setting of a way that reaches a recall, and the highest below it, between which the rate is interpolated; null where the first is near enough.</summary>
internal sealed record AnnChoice(AnnWay Way, int Variant, AnnPoint Reaches, AnnPoint? Below)
{
    public string Name => Way.Describe(Reaches.Knob, Variant);
}

/// <summary>A setting and its recall.</summary>
internal readonly record struct AnnPoint(int Knob, double Recall);

/// <summary>What a side reached at a recall: queries per second, and by which setting.</summary>
internal sealed record AnnResult(double Qps, AnnChoice Choice);

/// <summary>
/// Sweeps the ways of two sides at one filter set and one k. First each knob is turned up in doubling steps, until the highest recall is
/// reached or another way of the side is far ahead, and then bisected to each recall wanted. A short run tells which one or two settings
/// can be the fastest at a recall; these are timed in rounds, one side after the other, and the medians count.
/// </summary>
internal sealed class AnnSweep(AnnTruth truth, AnnFilterSet filters, int k, double[] recalls, CancellationToken cancellation)
{
    private const double QuickSeconds = 0.15;

    // A way this much slower than another at the recalls that it has yet to reach is given up.
    private const double HopelessBy = 3;

    // Settings that come this near to the fastest in a short run are timed.
    private const double Contends = 0.88;

    // A recall so little above the one wanted needs no interpolation.
    private const double NearEnough = 0.004;

    private readonly Dictionary<AnnWay, SortedDictionary<int, (double Recall, double Qps)>> _curves = [];
    private readonly Dictionary<(AnnWay, int Knob, int Variant, bool IsBatch), double> _quick = [];
    private readonly Dictionary<(AnnWay, int Knob, int Variant, bool IsBatch), List<double>> _timed = [];

    /// <summary>Finds out which knobs reach which recall. What a recall is reached with does not depend on how the time is measured.</summary>
    public async Task ScoutAsync(IReadOnlyList<AnnWay> side)
    {
        var bestQps = new double[recalls.Length]; // of the ways so far
        foreach (AnnWay way in side.Where(way => way.Serves(filters)))
        {
            if (way.Twin is { } twin && _curves.TryGetValue(twin, out var known))
            {
                _curves[way] = known;
                continue;
            }

            var curve = _curves[way] = [];
            for (int knob = 1; ; knob = Math.Min(way.KnobMax, 2 * knob))
            {
                (double recall, double qps) = await AskAsync(way, knob);
                if (knob == way.KnobMax || recall >= recalls[^1]) break;
                if (Enumerable.Range(0, recalls.Length).All(r => recall >= recalls[r] || bestQps[r] > HopelessBy * qps)) break;
            }

            for (int r = 0; r < recalls.Length; r++)
            {
                await BisectAsync(way, recalls[r], bestQps[r]);
                if (Reaching(way, recalls[r]) is { } point) bestQps[r] = Math.Max(bestQps[r], curve[point.Knob].Qps);
            }
        }
    }

    /// <summary>The recall that a way without a knob has.</summary>
    public async Task<double> RecallAsync(AnnWay way)
    {
        _curves.TryAdd(way, []);
        return (await AskAsync(way, 1)).Recall;
    }

    /// <summary>Times what may be fastest at each recall.</summary>
    /// <returns>Results of each side by recall; null where no way reaches it.</returns>
    public async Task<AnnResult?[][]> TimeAsync(IReadOnlyList<AnnWay>[] sides, bool isBatch, double seconds, int rounds)
    {
        var choices = new List<AnnChoice>[sides.Length][];
        for (int s = 0; s < sides.Length; s++)
        {
            choices[s] = new List<AnnChoice>[recalls.Length];
            for (int r = 0; r < recalls.Length; r++) choices[s][r] = await ChooseAsync(sides[s], recalls[r], isBatch);
        }

        List<(AnnWay Way, int Knob, int Variant)>[] points = [.. choices.Select(side => side.SelectMany(list => list)
            .SelectMany(choice => new[] { choice.Below, choice.Reaches }.OfType<AnnPoint>().Select(point => (choice.Way, point.Knob, choice.Variant)))
            .Distinct().ToList())];
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < points.Max(list => list.Count); i++)
            {
                foreach (var list in points.Where(list => i < list.Count)) await RunAsync(list[i].Way, list[i].Knob, list[i].Variant, isBatch, seconds);
            }
        }

        return [.. choices.Select(side => side.Select((list, r) => list
            .Select(choice => new AnnResult(QpsAt(choice, recalls[r], isBatch), choice)).MaxBy(result => result.Qps)).ToArray())];
    }

    /// <summary>Times a way without a knob.</summary>
    public async Task<double> TimeAsync(AnnWay way, bool isBatch, double seconds, int rounds)
    {
        for (int round = 0; round < rounds; round++) await RunAsync(way, 1, 0, isBatch, seconds);
        return Median(_timed[(way, 1, 0, isBatch)]);
    }

    /// <summary>The rate at a recall between two settings: linear in its logarithm.</summary>
    public static double Interpolate(double recall, (double Recall, double Qps) below, (double Recall, double Qps) above)
    {
        double at = Math.Clamp((recall - below.Recall) / (above.Recall - below.Recall), 0, 1);
        return Math.Exp(((1 - at) * Math.Log(below.Qps)) + (at * Math.Log(above.Qps)));
    }

    public static double Median(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private double QpsAt(AnnChoice choice, double recall, bool isBatch)
    {
        double reached = Median(_timed[(choice.Way, choice.Reaches.Knob, choice.Variant, isBatch)]);
        if (choice.Below is not { } below) return reached;

        double faster = Median(_timed[(choice.Way, below.Knob, choice.Variant, isBatch)]);
        return Interpolate(recall, (below.Recall, faster), (choice.Reaches.Recall, reached));
    }

    private async Task<(double Recall, double Qps)> AskAsync(AnnWay way, int knob)
    {
        if (_curves[way].TryGetValue(knob, out var known)) return known;

        cancellation.ThrowIfCancellationRequested();
        (int[][] rows, double seconds) = await way.AnswerAsync(filters, k, knob, cancellation);
        return _curves[way][knob] = (truth.Recall(filters, k, rows), rows.Length / seconds);
    }

    private async Task BisectAsync(AnnWay way, double recall, double bestQps)
    {
        while (Reaching(way, recall) is { } above && above.Recall - recall > NearEnough && _curves[way][above.Knob].Qps * HopelessBy > bestQps)
        {
            int below = Below(way, above)?.Knob ?? 0;
            int middle = (int)Math.Round(Math.Sqrt((double)Math.Max(1, below) * above.Knob));
            if (below == 0 || middle <= below || middle >= above.Knob || above.Knob < 1.1 * below) return;
            await AskAsync(way, middle);
        }
    }

    // The lowest setting that reaches a recall.
    private AnnPoint? Reaching(AnnWay way, double recall) => _curves.TryGetValue(way, out var curve)
        ? curve.Where(point => point.Value.Recall >= recall).Select(point => (AnnPoint?)new AnnPoint(point.Key, point.Value.Recall)).FirstOrDefault()
        : null;

    private AnnPoint? Below(AnnWay way, AnnPoint above) =>
        _curves[way].Where(point => point.Key < above.Knob).Select(point => (AnnPoint?)new AnnPoint(point.Key, point.Value.Recall)).LastOrDefault();

    private async Task<List<AnnChoice>> ChooseAsync(IReadOnlyList<AnnWay> side, double recall, bool isBatch)
    {
        var found = new List<(AnnChoice Choice, double Qps)>();
        double fastest = side.Select(way => Reaching(way, recall) is { } point ? _curves[way][point.Knob].Qps : 0).DefaultIfEmpty().Max();
        foreach (AnnWay way in side)
        {
            if (Reaching(way, recall) is not { } reaches || _curves[way][reaches.Knob].Qps * HopelessBy < fastest) continue;

            AnnPoint? below = reaches.Recall - recall > NearEnough ? Below(way, reaches) : null;
            for (int variant = 0; variant < way.Variants(filters, isBatch); variant++)
            {
                var key = (way, reaches.Knob, variant, isBatch);
                if (!_quick.ContainsKey(key)) _quick[key] = await way.RunAsync(filters, k, reaches.Knob, isBatch, variant, QuickSeconds, cancellation);
                found.Add((new AnnChoice(way, variant, reaches, below), _quick[key]));
            }
        }

        double best = found.Select(one => one.Qps).DefaultIfEmpty().Max();
        return [.. found.OrderByDescending(one => one.Qps).Take(2).Where(one => one.Qps >= Contends * best).Select(one => one.Choice)];
    }

    private async Task RunAsync(AnnWay way, int knob, int variant, bool isBatch, double seconds)
    {
        cancellation.ThrowIfCancellationRequested();
        double qps = await way.RunAsync(filters, k, knob, isBatch, variant, seconds, cancellation);
        if (!_timed.TryGetValue((way, knob, variant, isBatch), out List<double>? runs)) _timed[(way, knob, variant, isBatch)] = runs = [];
        runs.Add(qps);
    }
}
