using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>What in-network looks at and gives; see <see cref="RetrievalOptions"/>.</summary>
/// <param name="ScanMax">Ring entries that one request looks at.</param>
/// <param name="PerAuthorScanMax">Of them, those of one author.</param>
/// <param name="PerAuthorMax">Items of one author that it gives.</param>
/// <param name="RetentionHours">Age past which it gives none; 0 = no limit.</param>
internal sealed record InNetworkShape(int ScanMax, int PerAuthorScanMax, int PerAuthorMax, double RetentionHours)
{
    public static InNetworkShape From(RetrievalOptions options) =>
        new(options.InNetworkScanMax, options.InNetworkPerAuthorScanMax, options.InNetworkPerAuthorMax, options.InNetworkRetentionHours);
}

/// <summary>
/// The newest items of the authors a user follows: a merge of their rings by time, so that the cost is
/// O((authors + entries looked at) log authors) and never a sort of all their items. What it gives and what it looks at are capped, for each
/// author and for all: of many authors whose items the filter leaves out, the newest entries are looked at and no more.
/// </summary>
internal sealed class InNetworkSource(InNetworkShape shape) : ISource
{
    public string Name => SourceNames.InNetwork;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline)
    {
        long oldestMs = shape.RetentionHours > 0 ? query.NowMs - (long)(shape.RetentionHours * 3_600_000) : long.MinValue;
        PriorityQueue<Cursor, (long, string)> heads = Open(query);
        var found = new List<RowHit>(limit);
        int steps = 0;
        while (found.Count < limit && steps < shape.ScanMax && heads.TryPeek(out Cursor? cursor, out _))
        {
            if ((++steps & 0xFF) == 0) deadline.ThrowIfCancellationRequested();
            RingEntry entry = cursor.Entry;

            // The ring may lag the row by one delta: the row's own word counts.
            if (entry.CreatedAtMs >= oldestMs && entry.Row.State is { } state && state.Facts.AuthorId == cursor.AuthorId && query.Filter.Admits(state))
            {
                found.Add(new RowHit(entry.CreatedAtMs, entry.Row, state));
                cursor.Taken++;
            }

            heads.Dequeue();
            if (entry.CreatedAtMs >= oldestMs && cursor.Taken < shape.PerAuthorMax && cursor.Looked < shape.PerAuthorScanMax && cursor.Advance()) heads.Enqueue(cursor, cursor.Order);
        }

        return found;
    }

    private static PriorityQueue<Cursor, (long, string)> Open(SourceQuery query)
    {
        var heads = new List<(Cursor, (long, string))>(query.Follows.Count);
        foreach (string author in query.Follows)
        {
            RingEntry[] entries = query.Index.Authors.Read(author, query.ServerNowMs);
            if (entries.Length == 0) continue;
            var cursor = new Cursor(author, entries);
            heads.Add((cursor, cursor.Order));
        }

        return new PriorityQueue<Cursor, (long, string)>(heads, NewestFirst.Instance);
    }

    private sealed class Cursor(string authorId, RingEntry[] entries)
    {
        private int _at;

        public string AuthorId => authorId;

        public int Taken { get; set; }

        public int Looked => _at + 1;

        public RingEntry Entry => entries[_at];

        public (long, string) Order => (entries[_at].CreatedAtMs, authorId);

        public bool Advance() => ++_at < entries.Length;
    }

    private sealed class NewestFirst : IComparer<(long CreatedAtMs, string AuthorId)>
    {
        public static readonly NewestFirst Instance = new();

        public int Compare((long CreatedAtMs, string AuthorId) x, (long CreatedAtMs, string AuthorId) y)
        {
            int order = y.CreatedAtMs.CompareTo(x.CreatedAtMs);
            return order != 0 ? order : string.CompareOrdinal(x.AuthorId, y.AuthorId);
        }
    }
}
