namespace Mesh.Inference;

/// <summary>
/// Something that may be thrown away while others still use it, as a model is in a hot swap. Whoever uses it takes a lease;
/// it is released for good when it was disposed of and the last lease came back. Safe to use from any thread.
/// </summary>
public abstract class Leased : IDisposable
{
    // The owner's own use, until Dispose, plus one per lease. Never rises again from 0.
    private int _uses = 1;
    private int _disposed;

    /// <summary>Keeps this alive until <see cref="Return"/> is called, once. False: it is being thrown away; get its successor.</summary>
    public bool TryLease()
    {
        if (Volatile.Read(ref _disposed) != 0) return false;
        int uses = Volatile.Read(ref _uses);
        while (uses > 0)
        {
            int seen = Interlocked.CompareExchange(ref _uses, uses + 1, uses);
            if (seen == uses) return true;
            uses = seen;
        }

        return false;
    }

    /// <summary>One more lease for somebody who holds one, also while this is being thrown away.</summary>
    /// <exception cref="InvalidOperationException">Nobody holds one: it is released already.</exception>
    protected void LeaseAgain()
    {
        if (Interlocked.Increment(ref _uses) <= 1) throw new InvalidOperationException($"{GetType().Name} was leased again after its last lease came back.");
    }

    /// <summary>Gives one lease back.</summary>
    public void Return()
    {
        int uses = Interlocked.Decrement(ref _uses);
        if (uses == 0) Release();
        if (uses < 0) throw new InvalidOperationException($"{GetType().Name} was returned more often than leased.");
    }

    /// <summary>Ends the owner's use. No new lease begins; what is leased goes on to its end. A second call does nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        Return();
        GC.SuppressFinalize(this);
    }

    /// <summary>Runs once, when nobody uses this any more.</summary>
    protected abstract void Release();
}
