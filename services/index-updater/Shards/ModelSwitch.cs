using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// The catalogue encoded for the model that shall go live, kept beside it: the live one serves and takes items meanwhile. Used
/// by one task at a time. About 0.5 KB per row of 64 dimensions until the snapshot is adopted or another model is chosen: a try that
/// fails keeps what it has encoded for the next.
/// </summary>
internal sealed class ModelSwitch(ItemModel model)
{
    // Rows after which progress is noted: some tenths of a second of work.
    private const int RowsPerStep = 16 * ItemModel.BatchRows;

    private const int TicksBetweenTriesMax = 64;

    private readonly Dictionary<string, (Stamp Stamp, EncodedItem Encoded)> _done = new(StringComparer.Ordinal);
    private int _ticksBetweenTries;
    private int _ticksToWait;

    public ItemModel Model => model;

    public int Done => _done.Count;

    /// <summary>A try came to nothing: the next one is on the next tick, then on every second, fourth ... 64th.</summary>
    public void Failed()
    {
        _ticksBetweenTries = Math.Clamp(2 * _ticksBetweenTries, 1, TicksBetweenTriesMax);
        _ticksToWait = _ticksBetweenTries;
    }

    /// <summary>Counts a tick. Whether another try is due on it.</summary>
    public bool IsDue() => --_ticksToWait <= 0;

    /// <summary>Lets go of rows that are no more: tries may be hours apart.</summary>
    public void Forget(Func<string, bool> isLive)
    {
        foreach (string gone in _done.Keys.Where(itemId => !isLive(itemId)).ToList()) _done.Remove(gone);
    }

    /// <summary>Rows that came or changed since they were encoded.</summary>
    public CatalogueEntry[] Missing(IEnumerable<CatalogueEntry> entries) => [.. entries.Where(entry => entry.IsLive && !Has(entry))];

    public void Encode(IReadOnlyList<CatalogueEntry> rows, Action<int> left, CancellationToken cancellation)
    {
        for (int first = 0; first < rows.Count; first += RowsPerStep)
        {
            cancellation.ThrowIfCancellationRequested();
            left(rows.Count - first);
            foreach (CatalogueEntry row in model.Encode([.. rows.Skip(first).Take(RowsPerStep)]))
            {
                _done[row.ItemId] = (row.ItemStamp!.Value, new EncodedItem(row.Embedding, row.Codes));
            }
        }

        left(0);
    }

    /// <summary>Rows of any model as rows of this one: by what is encoded already, the rest now.</summary>
    public CatalogueEntry[] Take(CatalogueEntry[] rows, CancellationToken cancellation)
    {
        Encode(Missing(rows), static _ => { }, cancellation);
        return [.. rows.Select(row => model.With(row, _done[row.ItemId].Encoded))];
    }

    private bool Has(CatalogueEntry row) => _done.TryGetValue(row.ItemId, out var done) && done.Stamp == row.ItemStamp;
}
