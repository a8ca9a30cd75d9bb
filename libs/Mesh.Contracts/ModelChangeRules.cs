namespace Mesh.Contracts;

/// <summary>
/// Rules for a <see cref="ModelChange"/>, the same in gateway, index-updater and ranker: a message that one of them took and another
/// did not would leave the mesh between two models.
/// </summary>
public static class ModelChangeRules
{
    public const int AheadHoursMax = 24;

    public const string PathRule = "one folder name directly under Models:Root, 1-128 characters of A-Z a-z 0-9 . _ -";

    /// <summary>Whether it can be the folder of a package: a name without separators, drives or anything else that leads elsewhere.</summary>
    public static bool IsPath(string? path) => MeshId.IsValid(path) && !path.AsSpan().ContainsAny(":@~=");

    /// <summary>Why a change can never be applied; empty where it can. A change without a path is found by its version.</summary>
    /// <param name="nowMs">A time far ahead would win over every message until then.</param>
    public static string FaultOf(ModelChange change, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(change);
        if (!MeshId.IsUlid(change.EventId)) return "its event id is not a ULID";
        if (change.TimeMs <= 0) return $"its time is {change.TimeMs}";
        if (change.TimeMs > nowMs + (AheadHoursMax * 3_600_000L)) return $"its time {change.TimeMs} is more than {AheadHoursMax} h ahead; Unix milliseconds are expected";
        if (!MeshId.IsValid(change.Version)) return $"its version is not {MeshId.Rule}";
        return change.Path.Length == 0 || IsPath(change.Path) ? "" : $"its path is not {PathRule}";
    }

    /// <summary>The change of the largest order wins: the latest, and of one millisecond the same one everywhere, whichever comes first.</summary>
    public static (long TimeMs, uint Tie) OrderOf(ModelChange change)
    {
        ArgumentNullException.ThrowIfNull(change);
        return (change.TimeMs, ItemHash.Compute(change.EventId));
    }
}
