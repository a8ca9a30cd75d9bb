using Mesh.Contracts;

namespace Mesh.Retrieval.Index;

/// <summary>What an item is, apart from how it does: immutable, shared by every RowState and index that holds the item.</summary>
internal sealed class ItemFacts
{
    private const int ObjectBytes = 24;   // header, method table, smallest payload: what one more object costs at least
    private const int StringBytes = 22;   // header, method table, length, terminator

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
        Bytes = Measure();
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

    private long Measure()
    {
        long bytes = 112 + Of(ItemId) + Of(AuthorId) + Of(Text) + Of(Language);
        if (Tags.Length > 0) bytes += ObjectBytes + Tags.Sum(tag => 8 + Of(tag));
        if (Attributes.Length > 0) bytes += ObjectBytes + Attributes.Sum(pair => 16 + Of(pair.Key) + Of(pair.Value));
        if (Codes.Length > 0) bytes += ObjectBytes + 4 * Codes.Length;
        return bytes;
    }

    // Rounded up to the 8 bytes that objects are aligned to; the empty string is one shared object.
    private static long Of(string text) => text.Length == 0 ? 0 : (StringBytes + 2L * text.Length + 7) & ~7L;
}
