namespace Mesh.Ranker.Transformer;

/// <summary>
/// Leaves a failing model alone. After so many failures in a row it lets one request through per period; the first that
/// succeeds closes it. A probe that ends without a verdict (its caller left) simply waits for the next period.
/// </summary>
internal sealed class Breaker(int failuresMax, TimeSpan period, TimeProvider clock)
{
    private readonly Lock _gate = new();
    private int _failures;          // in a row, under _gate
    private DateTimeOffset? _probe; // when the next request may try; null = closed; under _gate

    public bool IsOpen
    {
        get { lock (_gate) return _probe is not null; }
    }

    public bool TryPass()
    {
        lock (_gate)
        {
            if (_probe is not { } due) return true;
            DateTimeOffset now = clock.GetUtcNow();
            if (now < due) return false;
            _probe = now + period;
            return true;
        }
    }

    public void Succeeded()
    {
        lock (_gate)
        {
            _failures = 0;
            _probe = null;
        }
    }

    /// <returns>Whether this failure opened it.</returns>
    public bool Failed()
    {
        lock (_gate)
        {
            if (++_failures < failuresMax) return false;
            bool opened = _probe is null;
            _probe = clock.GetUtcNow() + period;
            return opened;
        }
    }
}
