namespace Mesh.Retrieval.Index;

/// <summary>
/// Things in order of arrival, appended by one writer and read by anyone without a lock. A reader takes one view: an array
/// with a count that only grows. Growth and clean-up publish a new view; readers of the old one are not disturbed.
/// </summary>
internal sealed class AppendList<T>
    where T : class
{
    private const int CapacityMin = 2; // most lists are of prefixes that hold few rows
    private const int DeadMin = 8;

    private readonly Predicate<T> _isDead;
    private volatile View _view; // written by the writer, read by every request
    private int _dead;           // writer only

    /// <param name="isDead">Whether clean-up may drop it.</param>
    /// <param name="things">What it begins with, its own from now on; nothing where it is null.</param>
    public AppendList(Predicate<T> isDead, T[]? things = null)
    {
        _isDead = isDead;
        _view = new View(things ?? new T[CapacityMin], things?.Length ?? 0);
    }

    /// <summary>What is held as of now, oldest first, the dead included.</summary>
    public ReadOnlySpan<T> All => _view.All;

    /// <summary>Bytes of the list, its view and its array.</summary>
    public long Bytes => 96 + (8L * _view.Capacity);

    public void Add(T thing)
    {
        View view = _view;
        if (view.TryAppend(thing)) return;

        var grown = new View(new T[Math.Max(CapacityMin, 2 * view.Capacity)], 0);
        foreach (T held in view.All) grown.TryAppend(held);
        grown.TryAppend(thing);
        _view = grown;
    }

    /// <summary>Takes one out: O(length), for the rare one that changes lists.</summary>
    public void Remove(T thing) => Keep(held => held != thing);

    /// <summary>Notes that one of the list died; cleans up once a quarter is dead, so the cost per death stays constant.</summary>
    public void NoteDead()
    {
        if (++_dead < DeadMin || 4 * _dead < _view.All.Length) return;
        Keep(held => !_isDead(held));
        _dead = 0;
    }

    private void Keep(Predicate<T> wanted)
    {
        ReadOnlySpan<T> all = _view.All;
        var kept = new View(new T[Math.Max(CapacityMin, all.Length)], 0);
        foreach (T held in all)
        {
            if (wanted(held)) kept.TryAppend(held);
        }

        _view = kept;
    }

    private sealed class View(T[] things, int count)
    {
        // Stored with release after the element: whoever reads the count sees the elements below it.
        private int _count = count;

        public ReadOnlySpan<T> All => things.AsSpan(0, Volatile.Read(ref _count));

        public int Capacity => things.Length;

        public bool TryAppend(T thing)
        {
            int at = _count;
            if (at == things.Length) return false;
            things[at] = thing;
            Volatile.Write(ref _count, at + 1);
            return true;
        }
    }
}
