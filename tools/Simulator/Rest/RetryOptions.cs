namespace Mesh.Simulator.Rest;

/// <summary>How a call to the gateway is repeated. Everything sent is idempotent, so repeating is always safe.</summary>
public sealed record RetryOptions
{
    /// <summary>First pause, doubled after each failure. Default 100 ms.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Longest pause of our own; a Retry-After of the server may be longer, up to <see cref="RetryAfterMax"/>. Default 5 s.
    /// </summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest Retry-After that is obeyed. Default 60 s.</summary>
    public TimeSpan RetryAfterMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long one call may fail without a single success before the import gives up. Default 2 minutes.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(2);
}

/// <summary>The gateway refused a call as such, or stayed away longer than the patience allows.</summary>
public sealed class FeedApiException(string message, Exception? inner = null) : Exception(message, inner);
