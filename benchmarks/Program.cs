using Mesh.Benchmarks;
using Mesh.Benchmarks.Ann;

// dotnet run -c Release --project benchmarks -- NAME [--json FILE] [options]
IBenchmark[] benchmarks =
[
    new FeedBenchmark(), new TrainingStorage(), new RankerBenchmark(), new RankerSharingBenchmark(), new GactBenchmark(), new ScanBenchmark(), new BloomBenchmark(),
    new ColdStartBenchmark(), new FreshnessBenchmark(), new PauseBenchmark(), new AnnBenchmark(), new CoarseBenchmark(), new BeamBenchmark(),
];

IBenchmark? benchmark = args.Length == 0 ? null : benchmarks.FirstOrDefault(candidate => candidate.Name == args[0]);
if (benchmark is null || args.Contains("--help"))
{
    Console.Error.WriteLine("usage: dotnet run -c Release --project benchmarks -- NAME [--json FILE] [options]");
    foreach (IBenchmark known in benchmarks) Console.Error.WriteLine($"  {known.Name,-16} {known.Summary}");
    return args.Contains("--help") ? 0 : 2;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;
    stop.Cancel();
};

try
{
    var options = BenchmarkOptions.Parse(args.AsSpan(1), benchmark.Options);
    Figures figures = await benchmark.RunAsync(options, stop.Token);
    if (options.Json is { } file) figures.WriteJson(file);
    return 0;
}
catch (ArgumentException fault)
{
    Console.Error.WriteLine($"{fault.Message} Options of {benchmark.Name}: {string.Join(' ', benchmark.Options.Select(option => $"--{option.Key} {option.Value}"))} --json FILE");
    return 2;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 130;
}
