using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>
/// Hashes of the newest 32,768 event ids, as a ring in pages of 1,024, so that an append writes one or two pages of 8 KB. A
/// redelivery comes while its message is in flight, and at most a few thousand are in flight at any time: the broker takes
/// no more before earlier ones are acknowledged. A ring of 32,768 is several times that. Two ids with the same hash would
/// make an event vanish: 32,768 / 2^64 per event, 2e-15.
/// </summary>
internal sealed class DedupeWindow
{
    public const int PageSize = 1_024;
    public const int Pages = 32;
    public const int Size = PageSize * Pages;

    private readonly ulong[] _ring = new ulong[Size];
    private readonly HashSet<ulong> _known = [];

    /// <summary>Ids ever put in; the next one goes to this, modulo the size.</summary>
    public ulong Seen { get; private set; }

    public bool Contains(ulong hash) => _known.Contains(hash);

    public void Add(ulong hash)
    {
        int position = (int)(Seen % Size);
        if (Seen >= Size) _known.Remove(_ring[position]);
        _ring[position] = hash;
        _known.Add(hash);
        Seen++;
    }

    /// <summary>The pages as they will be with more ids put in, by number. The window itself stays as it is.</summary>
    public Dictionary<int, EventHashes> PagesWith(IReadOnlyList<ulong> added)
    {
        var pages = new Dictionary<int, EventHashes>();
        for (int i = 0; i < added.Count; i++)
        {
            int position = (int)((Seen + (ulong)i) % Size);
            int page = position / PageSize;
            if (!pages.TryGetValue(page, out EventHashes? hashes))
            {
                pages.Add(page, hashes = new EventHashes { Hashes = { _ring.AsSpan(page * PageSize, PageSize).ToArray() } });
            }

            hashes.Hashes[position % PageSize] = added[i];
        }

        return pages;
    }

    /// <summary>Reads the ring back. A page that was never written holds nothing.</summary>
    public static DedupeWindow Load(ulong seen, IReadOnlyDictionary<int, EventHashes> pages)
    {
        var window = new DedupeWindow { Seen = seen };
        foreach ((int page, EventHashes hashes) in pages) hashes.Hashes.CopyTo(window._ring, page * PageSize);
        int filled = (int)Math.Min(seen, Size);
        for (int position = 0; position < filled; position++) window._known.Add(window._ring[position]);
        return window;
    }
}
