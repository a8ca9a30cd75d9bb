using System.Diagnostics;

namespace Mesh.EndToEnd.Tests;

/// <summary>Waits for what an asynchronous mesh promises to become true.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>Returns how long it took.</summary>
    /// <exception cref="Xunit.Sdk.XunitException">Not true within the time; the message says what was seen last.</exception>
    public static async Task<TimeSpan> TrueAsync(string claim, Func<Task<bool>> check, Func<Task<string>>? describe = null, int withinSeconds = 30)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            if (await check()) return Stopwatch.GetElapsedTime(started);
            if (Stopwatch.GetElapsedTime(started).TotalSeconds > withinSeconds)
            {
                Assert.Fail($"Not true within {withinSeconds} s: {claim}. {(describe is null ? "" : $"Seen last: {await describe()}")}");
            }

            await Task.Delay(Pause);
        }
    }

    /// <summary>
    /// Checks a freshness promise: the median of five trials keeps it. One trial alone would judge the noise of a machine
    /// that runs other tests too.
    /// </summary>
    public static async Task WithinAsync(TimeSpan promise, string claim, Func<int, Task<TimeSpan>> trial)
    {
        var seen = new List<TimeSpan>();
        for (int i = 0; i < 5; i++) seen.Add(await trial(i));

        Assert.True(seen.Order().ElementAt(2) <= promise,
            $"{claim}: promised {promise.TotalSeconds} s, took {string.Join(", ", seen.Select(time => $"{time.TotalSeconds:0.00} s"))}");
    }
}
