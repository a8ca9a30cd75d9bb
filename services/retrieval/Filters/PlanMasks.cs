namespace Mesh.Retrieval.Filters;

/// <summary>The <see cref="KeptMask"/>s of one plan, made as its searches come to the chunks.</summary>
internal sealed class PlanMasks(MaskBudget budget)
{
    private volatile KeptMask?[] _byChunk = [];
    private long _notBeforeMs; // no more masks are asked for until then

    /// <summary>When a search last began, in milliseconds of the budget's clock.</summary>
    public long LastUsedMs { get; private set; }

    /// <summary>Under the budget's lock.</summary>
    public long Bytes { get; private set; }

    /// <summary>A search begins.</summary>
    public PlanMasks Use()
    {
        LastUsedMs = budget.NowMs;
        return this;
    }

    /// <summary>The masks of a segment's chunk; null where there is no room for them.</summary>
    public KeptMask? Of(FilterBits bits)
    {
        FilterChunk chunk = bits.Chunk;
        KeptMask?[] held = _byChunk;
        if (chunk.Number < held.Length && held[chunk.Number] is { } mask && bits.Ordinal < mask.Segments) return mask;
        if (LastUsedMs < Volatile.Read(ref _notBeforeMs)) return null;

        KeptMask? made = budget.Make(this, chunk);
        if (made is null) Volatile.Write(ref _notBeforeMs, LastUsedMs + MaskBudget.SettledMs);
        return made;
    }

    /// <summary>Under the budget's lock. Replaces the chunk's mask.</summary>
    public void Put(FilterChunk chunk, KeptMask mask)
    {
        KeptMask?[] held = _byChunk;
        var longer = new KeptMask?[Math.Max(held.Length, chunk.Number + 1)];
        held.CopyTo(longer, 0);
        Bytes += mask.Bytes - (longer[chunk.Number]?.Bytes ?? 0);
        longer[chunk.Number] = mask;
        _byChunk = longer;
    }

    /// <summary>Under the budget's lock.</summary>
    public void Clear() => (_byChunk, Bytes) = ([], 0);
}

/// <summary>
/// Memory for the masks of all plans of an index. Past it those of the plans go that were not used for the longest time, and of a second at least: where more
/// filters come in turn than there is room for, some keep their masks, and not all make them for nothing.
/// </summary>
internal sealed class MaskBudget(long bytesMax, TimeProvider clock)
{
    /// <summary>Masks used so long ago may make room for others.</summary>
    public const int SettledMs = 1_000;

    private readonly Lock _lock = new();
    private readonly List<PlanMasks> _held = [];
    private long _bytes;

    /// <summary>Bytes of all masks.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    public long NowMs => (long)clock.GetElapsedTime(0).TotalMilliseconds;

    /// <summary>Makes masks for a chunk; null where there is no room.</summary>
    public KeptMask? Make(PlanMasks plan, FilterChunk chunk)
    {
        var mask = new KeptMask(chunk);
        lock (_lock)
        {
            while (_bytes + mask.Bytes > bytesMax)
            {
                PlanMasks? oldest = _held.Where(held => held != plan && held.LastUsedMs <= NowMs - SettledMs).MinBy(static held => held.LastUsedMs);
                if (oldest is null) return null;
                Add(-oldest.Bytes);
                oldest.Clear();
                _held.Remove(oldest);
            }

            long before = plan.Bytes;
            if (before == 0) _held.Add(plan);
            plan.Put(chunk, mask);
            Add(plan.Bytes - before);
        }

        return mask;
    }

    private void Add(long bytes) => Interlocked.Add(ref _bytes, bytes);
}
