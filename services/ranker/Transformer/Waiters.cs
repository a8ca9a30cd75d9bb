namespace Mesh.Ranker.Transformer;

/// <summary>
/// How many still wait for an encoding. Who begins it is the first; with the last that leaves it is of use to nobody. Who joins in
/// the very moment in which it is dropped is answered as one who came late.
/// </summary>
internal sealed class Waiters
{
    private int _count = 1; // interlocked

    public bool Any => Volatile.Read(ref _count) > 0;

    public void Join() => Interlocked.Increment(ref _count);

    public void Leave() => Interlocked.Decrement(ref _count);
}
