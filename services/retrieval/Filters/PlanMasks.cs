namespace Mesh.Retrieval.Filters;

/// <summary>The <see cref="KeptMask"/>s of one plan, made as its searches come to the chunks.</summary>
internal sealed class PlanMasks(MaskBudget budget)
{
    private volatile KeptMask?[] _byChunk = [];

    /// <summary>When a search last began, in milliseconds since the machine started.</summary>
    public long LastUsedMs { get; private set; }

    public long Bytes { get; private set; } // under the budget's lock

    public PlanMasks Use()
    {
        LastUsedMs = Environment.TickCount64;
        return this;
    }

    /// <summary>The masks of a segment's chunk; null where there is no room for them.</summary>
    public KeptMask? Of(FilterBits bits)
    {
        FilterChunk chunk = bits.Chunk;
        KeptMask?[] held = _byChunk;
        return chunk.Number < held.Length && held[chunk.Number] is { } mask && bits.Ordinal < mask.Segments ? mask : budget.Make(this, chunk);
    }

    /// <summary>Under the budget's lock.</summary>
    public KeptMask Add(FilterChunk chunk)
    {
        var mask = new KeptMask(chunk);
        KeptMask?[] held = _byChunk;
        var longer = new KeptMask?[Math.Max(held.Length, chunk.Number + 1)];
        held.CopyTo(longer, 0);
        Bytes += mask.Bytes - (longer[chunk.Number]?.Bytes ?? 0);
        longer[chunk.Number] = mask;
        _byChunk = longer;
        return mask;
    }

    /// <summary>Under the budget's lock.</summary>
    public void Clear() => (_byChunk, Bytes) = ([], 0);
}

/// <summary>Memory for the masks of all plans of an index: past it those of the plans go that were not used for the longest time.</summary>
internal sealed class MaskBudget(long bytesMax)
{
    private readonly Lock _lock = new();
    private readonly List<PlanMasks> _held = [];
    private long _bytes;

    /// <summary>Bytes of all masks.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Makes masks for a chunk; null where even they alone are too many.</summary>
    public KeptMask? Make(PlanMasks plan, FilterChunk chunk)
    {
        lock (_lock)
        {
            long before = plan.Bytes;
            KeptMask mask = plan.Add(chunk);
            if (before == 0) _held.Add(plan);
            long bytes = _bytes + plan.Bytes - before;
            while (bytes > bytesMax)
            {
                PlanMasks oldest = _held.MinBy(static held => held.LastUsedMs)!;
                bytes -= oldest.Bytes;
                oldest.Clear();
                _held.Remove(oldest);
            }

            Interlocked.Exchange(ref _bytes, bytes);
            return plan.Bytes > 0 ? mask : null;
        }
    }
}
