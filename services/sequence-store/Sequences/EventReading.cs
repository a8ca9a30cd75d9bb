using Mesh.Contracts;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Checks what a topic delivers. The gateway has checked it before; what fails here came from another producer and can never
/// be stored, so that the answer is a drop and the reason goes to the log.
/// </summary>
internal static class EventReading
{
    public const int SurfaceLengthMax = 128;

    /// <summary>Reads one engagement; false with the fault where it can never be stored.</summary>
    public static bool TryRead(Engagement engagement, out LoggedEvent logged, out string fault)
    {
        logged = default;
        int action = ActionTaxonomy.Default.IndexOf(engagement.Action);
        fault = Fault(engagement, action);
        if (fault.Length > 0) return false;

        Ulid requestId = engagement.RequestId.Length == 0 ? Ulid.Empty : Ulid.Parse(engagement.RequestId);
        var key = new EventKey(engagement.TimeMs, Ulid.Parse(engagement.EventId));
        logged = new LoggedEvent(key, engagement.ItemId, (byte)action, engagement.Value, requestId, engagement.Surface);
        return true;
    }

    /// <summary>Reads one served page; the fault where it can never be applied.</summary>
    public static string FaultOf(Impressions page)
    {
        if (!MeshId.IsUlid(page.EventId)) return $"eventId '{page.EventId}' is not a ULID";
        if (!MeshId.IsValid(page.UserId)) return $"userId is not {MeshId.Rule}";
        if (page.ItemIds.Count > Limits.BatchMax) return $"{page.ItemIds.Count} items on a page; at most {Limits.BatchMax}";
        return page.ItemIds.All(MeshId.IsValid) ? "" : $"an itemId is not {MeshId.Rule}";
    }

    private static string Fault(Engagement engagement, int action)
    {
        if (!MeshId.IsUlid(engagement.EventId)) return $"eventId '{engagement.EventId}' is not a ULID";
        if (!MeshId.IsValid(engagement.UserId)) return $"userId is not {MeshId.Rule}";
        if (!MeshId.IsValid(engagement.ItemId)) return $"itemId is not {MeshId.Rule}";
        if (action < 0) return $"action '{engagement.Action}' is not in the taxonomy";
        if (engagement.TimeMs <= 0) return $"timeMs {engagement.TimeMs} is not a time";
        if (!float.IsFinite(engagement.Value)) return "value is not a number";
        if (engagement.RequestId.Length > 0 && !MeshId.IsUlid(engagement.RequestId)) return $"requestId '{engagement.RequestId}' is not a ULID";
        return engagement.Surface.Length > SurfaceLengthMax ? $"surface is over {SurfaceLengthMax} characters" : "";
    }
}
