using System.Globalization;
using System.Text.Json;

namespace Mesh.Simulator.Loop;

/// <summary>One measure of one section: each arm, and the first arm minus each other one, paired by user.</summary>
internal sealed record Comparison(
    Metric Metric, IReadOnlyDictionary<string, Estimate> Arms, IReadOnlyDictionary<string, Estimate> Differences, IReadOnlyDictionary<string, double> Bounds);

/// <summary>A seed, or all of them.</summary>
internal sealed record Section(string Name, int Users, IReadOnlyList<Comparison> Comparisons);

/// <summary>A loop's outcome: measures with intervals over users, and how they came about request by request.</summary>
internal sealed class LoopReport
{
    private const int ResamplingSeed = 20_101;
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly LoopOptions _options;
    private readonly IReadOnlyList<SeedResult> _seeds;

    public LoopReport(LoopOptions options, IReadOnlyList<SeedResult> seeds)
    {
        (_options, _seeds) = (options, seeds);
        Sections = [Compare("all seeds", seeds), .. seeds.Count > 1 ? seeds.Select(seed => Compare($"seed {seed.Seed}", [seed])) : []];
        string[] lines = [.. options.Arms, Bounds.Oracle, Bounds.Random];
        Curves = lines.ToDictionary(line => line, CurveOf, StringComparer.Ordinal);
    }

    /// <summary>All seeds together first.</summary>
    public IReadOnlyList<Section> Sections { get; }

    /// <summary>Utility per request by the number of the request, of each arm and bound.</summary>
    public IReadOnlyDictionary<string, double[]> Curves { get; }

    public IReadOnlyList<string> Arms => _options.Arms;

    public string ToTable()
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        text.WriteLine($"{_options.Users} users of each seed in each arm, {_options.RequestsPerUser} requests of {_options.PageItems} items each; [95 % of {_options.Resamples:N0} resamples of the users]");
        foreach (Section section in Sections)
        {
            text.WriteLine();
            text.Write($"{section.Name,-34}");
            foreach (string arm in Arms) text.Write($"{arm,-26}");
            foreach (string other in Arms.Skip(1)) text.Write($"{$"{Arms[0]} - {other}",-36}");
            text.WriteLine($"{Bounds.Random,10}{Bounds.Oracle,10}");
            foreach (Comparison comparison in section.Comparisons) WriteRow(text, comparison);
        }

        text.WriteLine();
        WriteServers(text);
        return text.ToString();
    }

    public string ToJson() => JsonSerializer.Serialize(
        new
        {
            _options.Arms, _options.Seeds, _options.Users, _options.RequestsPerUser, _options.PageItems, _options.Items, _options.Authors, _options.Resamples,
            Sections = Sections.Select(section => new
            {
                section.Name, section.Users,
                Measures = section.Comparisons.ToDictionary(
                    comparison => comparison.Metric.Name,
                    comparison => new { comparison.Arms, Differences = comparison.Differences.ToDictionary(pair => $"{Arms[0]} - {pair.Key}", pair => pair.Value), comparison.Bounds }),
            }),
            UtilityByRequest = Curves,
            Seeded = _seeds.Select(seed => new { seed.Seed, seed.PagesByServer, seed.Degraded, seed.Foreign }),
        },
        Json);

    private void WriteRow(StringWriter text, Comparison comparison)
    {
        text.Write($"{comparison.Metric.Text,-34}");
        foreach (string arm in Arms) text.Write($"{Format(comparison.Arms[arm], "0.000"),-26}");
        foreach (string other in Arms.Skip(1))
        {
            Estimate difference = comparison.Differences[other];
            double relative = 100 * difference.Value / Math.Abs(comparison.Arms[other].Value);
            text.Write($"{$"{Format(difference, "+0.000;-0.000")}{(double.IsFinite(relative) ? $" {relative:+0.0;-0.0} %" : "")}",-36}");
        }

        text.WriteLine($"{comparison.Bounds[Bounds.Random],10:0.000}{comparison.Bounds[Bounds.Oracle],10:0.000}");
    }

    // Who really scored: an arm whose model was late is served by another, and that must show.
    private void WriteServers(StringWriter text)
    {
        foreach (string arm in Arms)
        {
            IEnumerable<string> servers = _seeds.SelectMany(seed => seed.PagesByServer[arm]).GroupBy(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal)
                .OrderByDescending(group => group.Sum()).Select(group => $"{group.Key}, {group.Sum():N0} pages");
            text.WriteLine($"{arm} was scored by: {string.Join("; ", servers)}");
        }

        foreach (IGrouping<string, int> stage in _seeds.SelectMany(seed => seed.Degraded).GroupBy(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal))
            text.WriteLine($"degraded: {stage.Key}, {stage.Sum():N0} pages");
        int foreign = _seeds.Sum(seed => seed.Foreign);
        if (foreign > 0) text.WriteLine($"{foreign:N0} items served are not of these worlds and nobody looked at them: use an empty mesh.");
    }

    private static string Format(Estimate estimate, string format) => string.Format(
        CultureInfo.InvariantCulture, "{0} [{1}, {2}]", estimate.Value.ToString(format, CultureInfo.InvariantCulture), estimate.Low.ToString(format, CultureInfo.InvariantCulture),
        estimate.High.ToString(format, CultureInfo.InvariantCulture));

    // A unit is a user with one tally for each arm.
    private Section Compare(string name, IReadOnlyList<SeedResult> seeds)
    {
        Tally[][][] strata = [.. seeds.Select(seed => Enumerable.Range(0, _options.Users).Select(user => Arms.Select(arm => seed.Users[arm][user].Total).ToArray()).ToArray())];
        return new Section(name, strata.Sum(stratum => stratum.Length), [.. Metric.All.Select(metric => Compare(metric, strata, seeds))]);
    }

    private Comparison Compare(Metric metric, Tally[][][] strata, IReadOnlyList<SeedResult> seeds)
    {
        return new Comparison(
            metric, Arms.Select((arm, index) => (arm, index)).ToDictionary(pair => pair.arm, pair => Resample(units => Of(units, pair.index))),
            Arms.Select((arm, index) => (arm, index)).Skip(1).ToDictionary(pair => pair.arm, pair => Resample(units => Of(units, 0) - Of(units, pair.index))),
            new[] { Bounds.Random, Bounds.Oracle }.ToDictionary(bound => bound, bound => metric.Of(seeds.SelectMany(seed => seed.Bounds[bound]))));

        double Of(IReadOnlyList<Tally[]> units, int arm) => metric.Of(units.Select(unit => unit[arm]));

        Estimate Resample(Func<IReadOnlyList<Tally[]>, double> statistic) => Bootstrap.Interval(strata, statistic, _options.Resamples, ResamplingSeed);
    }

    private double[] CurveOf(string line) =>
    [
        .. Enumerable.Range(0, _options.RequestsPerUser).Select(round => Metric.Utility.Of(
            _seeds.SelectMany(seed => seed.Users.TryGetValue(line, out IReadOnlyList<LoopUser>? users) ? users.Select(user => user.Pages[round]) : [seed.Bounds[line][round]]))),
    ];
}
