namespace Mesh.Sidecar.Resiliency;

/// <summary>A retry policy.</summary>
/// <param name="Exponential">Pauses grow by half each time, randomised by half, up to <paramref name="IntervalMax"/>; else each is <paramref name="Duration"/>.</param>
/// <param name="RetriesMax">Further tries after the first; -1 = without end.</param>
/// <param name="Statuses">HTTP statuses that are retried (<c>matching.httpStatusCodes</c>); null = all.</param>
public sealed record RetryPolicy(bool Exponential, TimeSpan Duration, TimeSpan IntervalMax, int RetriesMax, IReadOnlyList<(int From, int To)>? Statuses = null)
{
    /// <summary>First pause of an exponential policy.</summary>
    public static readonly TimeSpan ExponentialStart = TimeSpan.FromMilliseconds(500);

    /// <summary>Whether a failure with this status is worth another try; 0 = it had none.</summary>
    public bool Covers(int status) => status == 0 || Statuses is null || Statuses.Any(range => status >= range.From && status <= range.To);
}

/// <summary>A failure that carries the status which the other side answered, for <c>matching</c>.</summary>
public interface IStatusFailure
{
    int Status { get; }
}

/// <summary>
/// Timeout, retry and circuit breaker around one operation, in Dapr's order: each try has the timeout, each passes the breaker, the
/// retries surround both. A policy of nothing runs the operation once.
/// </summary>
public sealed class ResiliencyPolicy(string name, TimeSpan? timeout, RetryPolicy? retry, CircuitBreaker? breaker, Random jitter, TimeProvider clock)
{
    private const double Growth = 1.5;
    private const double Jitter = 0.5;
    private readonly Lock _jitterGate = new();

    public string Name => name;

    public TimeSpan? AttemptTimeout => timeout;

    public RetryPolicy? Retry => retry;

    /// <summary>Runs the operation until it succeeds, fails for good or the retries are used up.</summary>
    /// <param name="isRetriable">Which failures are worth another try; timeouts are.</param>
    /// <param name="stopRetrying">Ends the pauses between tries, not a try that is under way.</param>
    /// <exception cref="TimeoutException">The last try took longer than the timeout.</exception>
    /// <exception cref="CircuitOpenException">The breaker let nothing through.</exception>
    public async Task<T> ExecuteAsync<T>(Func<CancellationToken, Task<T>> operation, Func<Exception, bool> isRetriable, CancellationToken cancellation, CancellationToken stopRetrying = default)
    {
        ArgumentNullException.ThrowIfNull(operation);
        ArgumentNullException.ThrowIfNull(isRetriable);
        TimeSpan interval = RetryPolicy.ExponentialStart;
        for (int retries = 0; ; retries++)
        {
            try
            {
                return await AttemptAsync(operation, cancellation);
            }
            catch (Exception exception) when (MayRetry(exception, retries, isRetriable) && !cancellation.IsCancellationRequested)
            {
                using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, stopRetrying);
                await Task.Delay(Pause(ref interval), clock, either.Token);
            }
        }
    }

    private bool MayRetry(Exception exception, int retries, Func<Exception, bool> isRetriable) =>
        retry is not null
        && (retry.RetriesMax < 0 || retries < retry.RetriesMax)
        && exception is not CircuitOpenException
        && (exception is TimeoutException || isRetriable(exception))
        && retry.Covers(exception is IStatusFailure failure ? failure.Status : 0);

    private async Task<T> AttemptAsync<T>(Func<CancellationToken, Task<T>> operation, CancellationToken cancellation)
    {
        using CircuitBreaker.Passage? passage = breaker?.Enter();
        T result = await WithTimeoutAsync(operation, cancellation);
        passage?.Succeeded();
        return result;
    }

    private async Task<T> WithTimeoutAsync<T>(Func<CancellationToken, Task<T>> operation, CancellationToken cancellation)
    {
        if (timeout is not { } limit || limit <= TimeSpan.Zero) return await operation(cancellation);

        using var timer = new CancellationTokenSource(limit, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
        try
        {
            return await operation(either.Token);
        }
        catch (OperationCanceledException) when (timer.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"{name} did not answer within {limit.TotalMilliseconds:0} ms.");
        }
    }

    private TimeSpan Pause(ref TimeSpan interval)
    {
        if (!retry!.Exponential) return retry.Duration;
        double factor;
        lock (_jitterGate) factor = 1 - Jitter + (2 * Jitter * jitter.NextDouble());
        TimeSpan pause = interval * factor;
        interval = interval * Growth < retry.IntervalMax ? interval * Growth : retry.IntervalMax;
        return pause < retry.IntervalMax ? pause : retry.IntervalMax;
    }
}
