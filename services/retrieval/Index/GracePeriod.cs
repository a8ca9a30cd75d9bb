namespace Mesh.Retrieval.Index;

/// <summary>
/// Tells the writer when every search that began before a moment has ended, without either ever waiting for the other. Searches are
/// counted by the parity of the epoch in which they began; the epoch moves on once the searches of the epoch before are gone,
/// so a new one cannot hold an old one up.
/// </summary>
internal sealed class GracePeriod
{
    // A cache line apart: searches change one while the writer reads the other.
    private const int Stride = 16;

    private readonly long[] _searches = new long[3 * Stride]; // changed by every search
    private long _epoch;                                      // written by the writer, read by every search

    /// <summary>A search begins. Whatever was retired before the epoch's start is gone; what is retired from now on waits for <see cref="Leave"/>.</summary>
    /// <returns>What to hand to <see cref="Leave"/>.</returns>
    public int Enter()
    {
        while (true)
        {
            long epoch = Volatile.Read(ref _epoch);
            int parity = (int)(epoch & 1);
            Interlocked.Increment(ref Searches(parity));
            if (Volatile.Read(ref _epoch) == epoch) return parity;

            Interlocked.Decrement(ref Searches(parity)); // the epoch moved on: the writer may have seen the count before
        }
    }

    public void Leave(int parity) => Interlocked.Decrement(ref Searches(parity));

    /// <summary>
    /// Writer only. Moves to the next epoch where the searches of the one before have ended. What was retired before the epoch that
    /// ends, and not during it, is then out of every search's reach.
    /// </summary>
    public bool TryAdvance()
    {
        if (Interlocked.Read(ref Searches((int)(_epoch + 1) & 1)) != 0) return false;
        Interlocked.Increment(ref _epoch);
        return true;
    }

    private ref long Searches(int parity) => ref _searches[(parity + 1) * Stride];
}
