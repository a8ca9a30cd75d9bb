namespace Mesh.Retrieval.Index;

/// <summary>The first codes of a semantic ID, three at most; those past <paramref name="Length"/> are 0.</summary>
internal readonly record struct CodePrefix(int Length, uint First, uint Second, uint Third)
{
    public const int LengthMax = 3;

    /// <summary>The first codes, as many as there are of so many.</summary>
    public static CodePrefix Of(ReadOnlySpan<uint> codes, int length)
    {
        length = Math.Min(length, codes.Length);
        return new CodePrefix(length, length > 0 ? codes[0] : 0, length > 1 ? codes[1] : 0, length > 2 ? codes[2] : 0);
    }

    /// <summary>Without its last code. Of one code at least.</summary>
    public CodePrefix Shorter() => Length switch
    {
        3 => this with { Length = 2, Third = 0 },
        2 => this with { Length = 1, Second = 0 },
        _ => default,
    };
}

/// <summary>
/// Which cluster a row lies in: that of its first codes, or, where room for clusters ran out before the prefix came, that of a shorter prefix.
/// Clusters never go and room never comes back, so a prefix has one cluster for the life of the index.
/// One writer; the list is for any reader.
/// </summary>
/// <param name="levels">Codes that name a cluster.</param>
/// <param name="clustersMax">Clusters of rows with codes, at most; rows without have one more.</param>
internal sealed class ClusterTable(int levels, int clustersMax)
{
    // A prefix that is one code longer leaves so much more of the room to those shorter: they take what it cannot.
    private const int ReservedShare = 8;

    private readonly Dictionary<CodePrefix, Cluster> _byPrefix = [];
    private readonly List<Cluster> _withCodes = [];
    private readonly AppendList<Cluster> _all = new(static _ => false);
    private volatile Cluster? _withoutCodes;

    /// <summary>By ordinal. What a reader has seen of it never changes; it grows.</summary>
    public ReadOnlySpan<Cluster> All => _all.All;

    /// <summary>The cluster of rows without codes; null where there never was one.</summary>
    public Cluster? WithoutCodes => _withoutCodes;

    /// <summary>Of the list and the map: a dictionary entry has a key of 16 bytes, a reference, a hash, a link and its bucket.</summary>
    public long Bytes => _all.Bytes + (8L * _withCodes.Capacity) + (40L * _byPrefix.Capacity);

    /// <summary>The codes of a row that choose its cluster.</summary>
    public CodePrefix PrefixOf(ReadOnlySpan<uint> codes) => CodePrefix.Of(codes, levels);

    /// <summary>Writer only. The cluster of a row whose codes begin so, made where it is wanted and there is room.</summary>
    /// <param name="prefix">Made by <see cref="PrefixOf"/>.</param>
    public Cluster Of(CodePrefix prefix, int dimensions)
    {
        if (prefix.Length == 0) return _withoutCodes ??= Add(new Cluster(dimensions, All.Length, isAlwaysProbed: true));

        uint first = prefix.First;
        for (; prefix.Length > 0; prefix = prefix.Shorter())
        {
            if (_byPrefix.TryGetValue(prefix, out Cluster? held)) return held;
            if (_withCodes.Count >= RoomFor(prefix.Length)) continue;

            Cluster made = Add(new Cluster(dimensions, All.Length, isAlwaysProbed: false));
            _byPrefix[prefix] = made;
            _withCodes.Add(made);
            return made;
        }

        return _withCodes[(int)(first % clustersMax)]; // all there may be are made
    }

    // Of all clusters with codes, how many may be there before one for a prefix of that length is refused. One code may take the last.
    private int RoomFor(int length) => clustersMax - ((length - 1) * clustersMax / ReservedShare);

    private Cluster Add(Cluster cluster)
    {
        _all.Add(cluster);
        return cluster;
    }
}
