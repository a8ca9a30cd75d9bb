using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>
/// The newest items of the authors a user follows: a merge of their rings by time, so that the cost is
/// O((authors + items taken) log authors) and never a sort of all their items. Capped per author.
/// </summary>
internal sealed class InNetworkSource(int perAuthorMax, double retentionHours) : ISource
{
    public string Name => SourceNames.InNetwork;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline)
    {
        long oldestMs = retentionHours > 0 ? query.NowMs - (long)(retentionHours * 3_600_000) : long.MinValue;
        PriorityQueue<Cursor, (long, string)> heads = Open(query);
        var found = new List<RowHit>(limit);
        int steps = 0;
        while (found.Count < limit && heads.TryPeek(out Cursor? cursor, out _))
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
            if (entry.CreatedAtMs >= oldestMs && cursor.Taken < perAuthorMax && cursor.Advance()) heads.Enqueue(cursor, cursor.Order);
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
