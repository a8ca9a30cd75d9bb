using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Memory that one search works in, kept by its thread for the next: a search of a million rows would allocate 0.6 MB otherwise. As large as
/// the largest search of the thread: 140 bytes a segment, 16 a result and 12 a row scored exactly.
/// </summary>
internal sealed class SearchScratch
{
    [ThreadStatic]
    private static SearchScratch? s_free;

    private int[] _coarseDots = [], _coarseOrdinals = [], _sorting = [];
    private ulong[] _clusterWords = [], _probedBy = [], _nearTo = [];
    private readonly List<ScanHits> _hits = [];
    private ScanHits? _coarse;
    private nint[] _addresses = [];
    private float[] _scores = [], _more = [];
    private Checked[] _checks = [];

    /// <summary>What the filter admits of the segments looked at.</summary>
    public Admission Admission { get; } = new();

    /// <summary>Segments to look at, in order: of one query, and in <see cref="Union"/> of all.</summary>
    public List<int> Order { get; } = [];

    public List<int> Union { get; } = [];

    /// <summary>Places to score, and their scores as <see cref="Mesh.Numerics.TopSelect.ToOrdered"/>.</summary>
    public List<int> Places { get; } = [];

    public List<int> Scores { get; } = [];

    public static SearchScratch Rent()
    {
        SearchScratch scratch = s_free ?? new SearchScratch();
        s_free = null; // a search within a search would have its own
        return scratch;
    }

    public void Return()
    {
        Admission.Clear();
        Array.Clear(_checks, 0, ChecksUsed);
        ChecksUsed = 0;
        Order.Clear();
        Union.Clear();
        Places.Clear();
        Scores.Clear();
        s_free = this;
    }

    public ScanHits Coarse(int clusters)
    {
        int capacity = clusters + (2 * Int8Rows.GroupRows);
        if (_coarse is null || _coarse.Capacity < capacity) _coarse = new ScanHits(capacity);
        return _coarse;
    }

    /// <summary>One buffer per query, each with room for what a selection of so many asks for.</summary>
    public ScanHits Hits(int query, int kept)
    {
        while (_hits.Count <= query) _hits.Add(new ScanHits(Int8Rows.GroupRows));
        int capacity = (3 * kept) + Int8Rows.GroupRows;
        if (_hits[query].Capacity < capacity) _hits[query] = new ScanHits(capacity);
        return _hits[query];
    }

    /// <summary>A bit for each query that looks at a segment.</summary>
    public Span<ulong> ProbedBy(int segments) => Grown(ref _probedBy, segments);

    /// <summary>A bit for each query for which a segment is of the nearer half of those that it looks at.</summary>
    public Span<ulong> NearTo(int segments) => Grown(ref _nearTo, segments);

    public Span<ulong> ClusterWords(int words) => Grown(ref _clusterWords, words);

    public Span<int> CoarseDots(int clusters) => Grown(ref _coarseDots, clusters);

    public Span<int> CoarseOrdinals(int clusters) => Grown(ref _coarseOrdinals, clusters);

    public Span<int> Sorting(int length) => Grown(ref _sorting, length);

    /// <summary>What the checks of the best places found.</summary>
    public Checked[] Checks(int length)
    {
        Grown(ref _checks, length);
        return _checks;
    }

    /// <summary>How many of <see cref="Checks"/> were written, to be cleared by <see cref="Return"/>.</summary>
    public int ChecksUsed { get; set; }

    /// <summary>Makes room to score so many rows.</summary>
    public void GrowScores(int rows)
    {
        Grown(ref _addresses, rows);
        Grown(ref _scores, rows);
        Grown(ref _more, rows);
    }

    public Span<nint> Addresses => _addresses;

    public Span<float> FloatScores => _scores;

    public Span<float> MoreFloatScores => _more;

    private static Span<T> Grown<T>(ref T[] array, int length)
    {
        if (array.Length < length) array = new T[Math.Max(length, 2 * array.Length)];
        return array.AsSpan(0, length);
    }
}

/// <summary>A place's row, and its state where the search may return it.</summary>
internal struct Checked
{
    public Row Row;
    public RowState? State;
    public bool HasMoved;
}
