using System.Diagnostics;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>Waits for what a test expects to become true, and says what it was when it did not.</summary>
internal static class Waiting
{
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(20);

    public static async Task UntilAsync(Func<bool> isTrue, string what)
    {
        long started = Stopwatch.GetTimestamp();
        while (!isTrue())
        {
            if (Stopwatch.GetElapsedTime(started) > TimeMax) throw new TimeoutException($"Not true after {TimeMax.TotalSeconds:0} s: {what}.");
            await Task.Delay(5);
        }
    }

    public static Task<T> InTime<T>(this Task<T> task) => task.WaitAsync(TimeMax);

    public static Task InTime(this Task task) => task.WaitAsync(TimeMax);
}
