using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>
/// All that is known of one item id, immutable. With an item it is a row of the index. Without, it is either a tombstone
/// (deleted, kept a while so that an older change cannot bring it back) or an orphan: counts and eligibility that arrived
/// before their item and wait for it.
/// </summary>
internal sealed record CatalogueEntry
{
    public static readonly string[] EligibilityFields = ["hidden", "languages", "regions", "safety"];

    public required string ItemId { get; init; }

    /// <summary>Null for a tombstone or an orphan. Never changed after it is here.</summary>
    public Item? Item { get; init; }

    /// <summary>Dimensions x float32; empty without an item.</summary>
    public ByteString Embedding { get; init; } = ByteString.Empty;

    /// <summary>Semantic ID; null before there are codebooks.</summary>
    public ushort[]? Codes { get; init; }

    /// <summary>That embedding and codes are of; one string shared by all rows of a version. Empty without an item.</summary>
    public string ModelVersion { get; init; } = "";

    public ItemCounters? Counters { get; init; }

    /// <summary>Null = eligible everywhere. Never changed after it is here.</summary>
    public Eligibility? Eligibility { get; init; }

    /// <summary>Sequence number of the last delta about this item.</summary>
    public ulong Version { get; init; }

    /// <summary>The change that wrote or deleted the item; null for an orphan.</summary>
    public Stamp? ItemStamp { get; init; }

    /// <summary>The change that wrote each eligibility field last; null where none was patched.</summary>
    public Stamp[]? EligibilityStamps { get; init; }

    public bool IsLive => Item is not null;

    public bool IsTombstone => Item is null && ItemStamp is not null;

    public bool IsOrphan => Item is null && ItemStamp is null;

    public ItemRow ToRow()
    {
        var row = new ItemRow { Item = Item, Embedding = Embedding, Counters = Counters?.ToMessage(), Eligibility = Eligibility, Version = Version, ModelVersion = ModelVersion };
        if (Codes is not null)
        {
            foreach (ushort code in Codes) row.Codes.Add(code);
        }

        return row;
    }

    /// <summary>What is known beside the row: stamps for a live one, everything for a tombstone or an orphan.</summary>
    public RowState ToState()
    {
        var state = new RowState { ItemId = ItemId, Item = ItemStamp?.ToMessage(), Deleted = IsTombstone };
        if (EligibilityStamps is not null) state.Eligibility.AddRange(EligibilityStamps.Select(stamp => stamp.ToMessage()));
        if (!IsLive)
        {
            state.Counters = Counters?.ToMessage();
            state.EligibilityValue = Eligibility;
        }

        return state;
    }

    /// <summary>This entry with the row of a delta or snapshot in it.</summary>
    public CatalogueEntry WithRow(ItemRow row) => this with
    {
        Item = row.Item,
        Embedding = row.Embedding,
        Codes = row.Codes.Count == 0 ? null : [.. row.Codes.Select(code => (ushort)code)],
        ModelVersion = string.Intern(row.ModelVersion),
        Counters = ItemCounters.Of(row.Counters),
        Eligibility = row.Eligibility,
        Version = row.Version,
    };

    /// <summary>This entry with what a state says; of a live row that is its stamps only.</summary>
    public CatalogueEntry WithState(RowState state)
    {
        CatalogueEntry stamped = this with
        {
            ItemStamp = state.Item is null ? null : Stamp.Of(state.Item),
            EligibilityStamps = state.Eligibility.Count == 0 ? null : [.. state.Eligibility.Select(Stamp.Of)],
        };
        if (stamped.IsLive && !state.Deleted) return stamped;
        return stamped with
        {
            Item = null,
            Embedding = ByteString.Empty,
            Codes = null,
            ModelVersion = "",
            Counters = ItemCounters.Of(state.Counters),
            Eligibility = state.EligibilityValue,
        };
    }
}
