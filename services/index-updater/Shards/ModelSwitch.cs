using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// The catalogue encoded for the model that shall go live, kept beside it: the live one serves and takes items meanwhile. Used
/// by one task at a time. About 0.5 KB per row of 64 dimensions until the snapshot is adopted.
/// </summary>
internal sealed class ModelSwitch(ItemModel model)
{
    // Rows after which progress is noted: some tenths of a second of work.
    private const int RowsPerStep = 16 * ItemModel.BatchRows;

    private readonly Dictionary<string, (Stamp Stamp, EncodedItem Encoded)> _done = new(StringComparer.Ordinal);

    public ItemModel Model => model;

    public int Done => _done.Count;

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
