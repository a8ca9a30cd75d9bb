using System.Diagnostics;

namespace Mesh.Testing;

/// <summary>Waits for a condition that something else brings about. For conditions without a signal to wait for.</summary>
public static class Eventually
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>Returns once <paramref name="actual"/> equals <paramref name="expected"/>.</summary>
    /// <exception cref="TimeoutException">It did not in time; the message says what was waited for and what was last seen.</exception>
    public static async Task EqualAsync<T>(T expected, Func<Task<T>> actual, string what, TimeSpan? timeout = null)
    {
        ArgumentNullException.ThrowIfNull(actual);
        long started = Stopwatch.GetTimestamp();
        TimeSpan patience = timeout ?? TimeSpan.FromSeconds(20);
        while (true)
        {
            T last = await actual();
            if (EqualityComparer<T>.Default.Equals(expected, last)) return;
            if (Stopwatch.GetElapsedTime(started) > patience) throw new TimeoutException($"{what}: expected {expected}, last seen {last}, after {patience}.");
            await Task.Delay(Pause);
        }
    }

    /// <inheritdoc cref="EqualAsync{T}(T,Func{Task{T}},string,TimeSpan?)"/>
    public static Task EqualAsync<T>(T expected, Func<T> actual, string what, TimeSpan? timeout = null) =>
        EqualAsync(expected, () => Task.FromResult(actual()), what, timeout);

    /// <summary>Returns once <paramref name="condition"/> holds.</summary>
    public static Task TrueAsync(Func<Task<bool>> condition, string what, TimeSpan? timeout = null) => EqualAsync(true, condition, what, timeout);
}
