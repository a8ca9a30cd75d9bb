using Mesh.Sidecar.PubSub.Routing;

namespace Mesh.Sidecar.Resiliency;

/// <summary>What a circuit breaker is made from.</summary>
/// <param name="HalfOpenMax">Calls let through while half-open, and successes in a row that close it (<c>maxRequests</c>).</param>
/// <param name="Interval">Counts are cleared this often while closed; zero = never.</param>
/// <param name="OpenFor">How long it stays open (<c>timeout</c>).</param>
/// <param name="Trip">Opens it, evaluated after each failure.</param>
public sealed record CircuitBreakerPolicy(int HalfOpenMax, TimeSpan Interval, TimeSpan OpenFor, CelExpression Trip)
{
    public static CelExpression DefaultTrip { get; } = CelExpression.Parse("consecutiveFailures > 5");
}

/// <summary>The breaker let a call through to nothing: open, or half-open and at its limit.</summary>
public sealed class CircuitOpenException(string name) : Exception($"Circuit breaker '{name}' is open.");

/// <summary>Stops calls to what keeps failing, lets a few through after a while, and closes when they succeed. Thread-safe.</summary>
public sealed class CircuitBreaker(string name, CircuitBreakerPolicy policy, TimeProvider clock)
{
    private readonly Lock _gate = new();
    private State _state = State.Closed;
    private DateTimeOffset _since = clock.GetUtcNow();
    private long _requests, _successes, _failures, _successesInARow, _failuresInARow;
    private int _generation;

    private enum State
    {
        Closed,
        HalfOpen,
        Open,
    }

    /// <summary>Asks to make a call. Dispose what it returns when the call is over; without success by then it has failed.</summary>
    /// <exception cref="CircuitOpenException">Not now.</exception>
    public Passage Enter()
    {
        lock (_gate)
        {
            DateTimeOffset now = clock.GetUtcNow();
            if (_state == State.Open && now - _since >= policy.OpenFor) Move(State.HalfOpen, now);
            if (_state == State.Closed && policy.Interval > TimeSpan.Zero && now - _since >= policy.Interval) Move(State.Closed, now);
            if (_state == State.Open || (_state == State.HalfOpen && _requests >= policy.HalfOpenMax)) throw new CircuitOpenException(name);
            _requests++;
            return new Passage(this, _generation);
        }
    }

    private void Leave(int generation, bool succeeded)
    {
        lock (_gate)
        {
            if (generation != _generation) return; // a call from before the state changed says nothing of the state now
            DateTimeOffset now = clock.GetUtcNow();
            if (succeeded)
            {
                (_successes, _successesInARow, _failuresInARow) = (_successes + 1, _successesInARow + 1, 0);
                if (_state == State.HalfOpen && _successesInARow >= policy.HalfOpenMax) Move(State.Closed, now);
                return;
            }

            (_failures, _failuresInARow, _successesInARow) = (_failures + 1, _failuresInARow + 1, 0);
            if (_state == State.HalfOpen || Trips()) Move(State.Open, now);
        }
    }

    private bool Trips()
    {
        try
        {
            return policy.Trip.IsTrue(new Dictionary<string, object?>(StringComparer.Ordinal)
            {
                ["requests"] = _requests,
                ["totalSuccesses"] = _successes,
                ["totalFailures"] = _failures,
                ["consecutiveSuccesses"] = _successesInARow,
                ["consecutiveFailures"] = _failuresInARow,
            });
        }
        catch (CelException)
        {
            return false; // an expression that cannot be evaluated never trips, as in Dapr
        }
    }

    private void Move(State to, DateTimeOffset now)
    {
        _state = to;
        _since = now;
        _generation++;
        (_requests, _successes, _failures, _successesInARow, _failuresInARow) = (0, 0, 0, 0, 0);
    }

    /// <summary>One call under way.</summary>
    public sealed class Passage(CircuitBreaker breaker, int generation) : IDisposable
    {
        private bool _succeeded;

        public void Succeeded() => _succeeded = true;

        public void Dispose() => breaker.Leave(generation, _succeeded);
    }
}
