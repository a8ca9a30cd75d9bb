using Mesh.Contracts;
using Mesh.IndexUpdater.Catalogue;

namespace Mesh.IndexUpdater.Writing;

/// <summary>Why an event can never be applied; empty where it can. The gateway checks too: these are for other producers.</summary>
internal static class EventFaults
{
    public static string Of(ItemChange change)
    {
        if (Common(change.EventId, change.TimeMs) is { Length: > 0 } fault) return fault;
        return change.ChangeCase switch
        {
            ItemChange.ChangeOneofCase.DeletedItemId => Id("item id", change.DeletedItemId),
            ItemChange.ChangeOneofCase.Upserted => Of(change.Upserted),
            _ => "it neither upserts nor deletes",
        };
    }

    public static string Of(EligibilityChange change)
    {
        if (Common(change.EventId, change.TimeMs) is { Length: > 0 } fault) return fault;
        if (Id("item id", change.ItemId) is { Length: > 0 } idFault) return idFault;
        if (change.Fields.Count == 0) return "it names no field";
        return change.Fields.FirstOrDefault(field => !CatalogueEntry.EligibilityFields.Contains(field)) is { } unknown ? $"'{unknown}' is not a field of eligibility" : "";
    }

    public static string Of(Engagement engagement)
    {
        if (Common(engagement.EventId, engagement.TimeMs) is { Length: > 0 } fault) return fault;
        if (ActionTaxonomy.Default.IndexOf(engagement.Action) < 0) return $"'{engagement.Action}' is not an action";
        return Id("item id", engagement.ItemId);
    }

    public static string Of(Impressions page)
    {
        if (Common(page.EventId, page.TimeMs) is { Length: > 0 } fault) return fault;
        if (page.ItemIds.Count > Limits.BatchMax) return $"it has {page.ItemIds.Count} items; at most {Limits.BatchMax}";
        return page.ItemIds.Select(id => Id("item id", id)).FirstOrDefault(itemFault => itemFault.Length > 0) ?? "";
    }

    private static string Of(Item item)
    {
        if (Id("item id", item.ItemId) is { Length: > 0 } fault) return fault;
        if (Id("author id", item.AuthorId) is { Length: > 0 } authorFault) return authorFault;
        if (item.Text.Length > Limits.TextLengthMax) return $"the text has {item.Text.Length} characters; at most {Limits.TextLengthMax}";
        if (item.Tags.Count > Limits.TagsMax) return $"it has {item.Tags.Count} tags; at most {Limits.TagsMax}";
        return item.Attributes.Count > Limits.AttributesMax ? $"it has {item.Attributes.Count} attributes; at most {Limits.AttributesMax}" : "";
    }

    private static string Common(string eventId, long timeMs)
    {
        if (!MeshId.IsUlid(eventId)) return "its event id is not a ULID";
        return timeMs <= 0 ? $"its time is {timeMs}" : "";
    }

    private static string Id(string what, string id) => MeshId.IsValid(id) ? "" : $"its {what} is not {MeshId.Rule}";
}
