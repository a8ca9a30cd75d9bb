using Mesh.Contracts;
using Mesh.Snapshots;

namespace Mesh.Retrieval.Index;

/// <summary>What an item is, apart from how it does: immutable, shared by every RowState and index that holds the item.</summary>
internal sealed class ItemFacts
{
    private const int ObjectBytes = 24; // header, method table, smallest payload: what one more object costs at least

    public ItemFacts(Item item, IEnumerable<uint> codes)
    {
        ItemId = item.ItemId;
        AuthorId = item.AuthorId;
        Text = item.Text;
        Tags = [.. item.Tags];
        CreatedAtMs = item.CreatedAtMs;
        Language = item.Language;
        DurationMs = item.DurationMs;
        Attributes = item.Attributes.Count == 0 ? [] : [.. item.Attributes];
        Codes = [.. codes];
        Hash = ItemHash.Compute(item.ItemId);
        long strings = Of(AuthorId) + Of(Language) + Tags.Sum(Of) + Attributes.Sum(static pair => Of(pair.Key) + Of(pair.Value));
        Bytes = Measure() + strings;
    }

    /// <summary>A row of a snapshot. What other rows say too is held once, by the pool, and counted there.</summary>
    /// <exception cref="SnapshotFormatException">A text is not UTF-8, or an attribute has no value.</exception>
    public ItemFacts(SnapshotRows rows, int row, StringPool pool)
    {
        long ownBytes = 0;
        ItemId = rows.ItemId(row);
        AuthorId = rows.AuthorId(row, pool, ref ownBytes);
        Text = rows.Text(row);
        Tags = rows.Tags(row, pool, ref ownBytes);
        CreatedAtMs = rows.CreatedAtMs[row];
        Language = rows.Language(row, pool, ref ownBytes);
        DurationMs = rows.DurationMs[row];
        string[] attributes = rows.Attributes(row, pool, ref ownBytes);
        Attributes = attributes.Length == 0 ? [] : new KeyValuePair<string, string>[attributes.Length / 2];
        for (int i = 0; i < Attributes.Length; i++) Attributes[i] = new(attributes[2 * i], attributes[(2 * i) + 1]);
        Codes = rows.HasCodes(row) ? new uint[rows.CodeLevels] : [];
        for (int level = 0; level < Codes.Length; level++) Codes[level] = rows.Codes[(row * rows.CodeLevels) + level];
        Hash = ItemHash.Compute(ItemId);
        Bytes = Measure() + ownBytes;
    }

    public string ItemId { get; }

    public string AuthorId { get; }

    public string Text { get; }

    public string[] Tags { get; }

    public long CreatedAtMs { get; }

    public string Language { get; }

    public long DurationMs { get; }

    public KeyValuePair<string, string>[] Attributes { get; }

    /// <summary>Semantic ID, coarse to fine; empty until codebooks exist.</summary>
    public uint[] Codes { get; }

    /// <summary><see cref="ItemHash"/> of the id: what requests exclude by.</summary>
    public uint Hash { get; }

    /// <summary>Heap bytes of this object with all it alone holds.</summary>
    public long Bytes { get; }

    // Without the strings that other rows may share.
    private long Measure()
    {
        long bytes = 112 + Of(ItemId) + Of(Text);
        if (Tags.Length > 0) bytes += ObjectBytes + (8 * Tags.Length);
        if (Attributes.Length > 0) bytes += ObjectBytes + (16 * Attributes.Length);
        if (Codes.Length > 0) bytes += ObjectBytes + (4 * Codes.Length);
        return bytes;
    }

    private static long Of(string text) => StringPool.BytesOf(text);
}
