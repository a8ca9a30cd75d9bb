using System.Diagnostics;

namespace Mesh.Benchmarks;

/// <summary>Latencies of one closed-loop run, sorted, in milliseconds.</summary>
internal sealed record LoadResult(double[] LatenciesMs, int Failures, double Seconds)
{
    public double RequestsPerSecond => LatenciesMs.Length / Seconds;

    /// <summary>Nearest-rank percentile, 0 &lt; p &lt;= 100.</summary>
    public double Percentile(double p) => LatenciesMs.Length == 0 ? double.NaN : LatenciesMs[(int)Math.Ceiling(p / 100 * LatenciesMs.Length) - 1];
}

/// <summary>N clients, each sending its next request when the last one is answered.</summary>
internal static class ClosedLoop
{
    /// <param name="request">One request of one client; returns whether it was answered well.</param>
    public static async Task<LoadResult> RunAsync(int clients, TimeSpan duration, Func<int, int, CancellationToken, Task<bool>> request, CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        (List<double> Latencies, int Failures)[] perClient = await Task.WhenAll(Enumerable.Range(0, clients).Select(async client =>
        {
            var latencies = new List<double>();
            int failures = 0;
            for (int i = 0; Stopwatch.GetElapsedTime(started) < duration; i++)
            {
                long sent = Stopwatch.GetTimestamp();
                if (await request(client, i, cancellation)) latencies.Add(Stopwatch.GetElapsedTime(sent).TotalMilliseconds);
                else failures++;
            }

            return (latencies, failures);
        }));
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        return new LoadResult([.. perClient.SelectMany(result => result.Latencies).Order()], perClient.Sum(result => result.Failures), seconds);
    }
}
