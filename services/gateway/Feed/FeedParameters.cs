using Mesh.Contracts;
using Mesh.Gateway.Input;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Mvc;

namespace Mesh.Gateway.Feed;

/// <summary>The query string of a feed request, as text, so that all its faults can be told at once.</summary>
internal sealed record FeedParameters(
    [FromQuery(Name = "limit")] string? Limit, [FromQuery(Name = "cursor")] string? Cursor, [FromQuery(Name = "explain")] string? Explain,
    [FromQuery(Name = "surface")] string? Surface, [FromQuery(Name = "excludeIds")] string? ExcludeIds, [FromQuery(Name = "language")] string? Language,
    [FromQuery(Name = "region")] string? Region)
{
    private const int LimitDefault = 30;
    private const int ExcludeIdsMax = 1_000;

    public FeedQuery? ToQuery(string userId, FeatureFlags flags, DateTimeOffset now, out Faults faults)
    {
        faults = new Faults();
        if (!MeshId.IsValid(userId)) faults.Add("userId", Rules.IdFault("userId", userId));
        int limit = QueryText.Integer(faults, "limit", Limit, LimitDefault, 1, Limits.FeedLimitMax);
        bool explain = ReadExplain(faults);
        if (Surface is not null && (Surface.Length > Rules.SurfaceLengthMax || Rules.HasControl(Surface, false)))
        {
            faults.Add(
                "surface", $"surface {Shown.Value(Surface)} is not allowed: at most {Rules.SurfaceLengthMax} characters, none of them a control character.");
        }

        if (!string.IsNullOrEmpty(Language) && !Rules.IsLanguage(Language))
            faults.Add("language", $"language {Shown.Value(Language)} is not a BCP 47 tag such as en or pt-BR.");
        if (!string.IsNullOrEmpty(Region) && !Rules.IsRegion(Region))
            faults.Add("region", $"region {Shown.Value(Region)} is not a region: two letters (ISO 3166) or three digits (UN M.49).");
        HashSet<string> excluded = ReadExcludeIds(faults);
        FeedCursor? cursor = ReadCursor(userId, faults);
        if (faults.Any) return null;

        return new FeedQuery
        {
            RequestId = Ulid.NewUlid(now).ToString(), UserId = userId, NowMs = now.ToUnixTimeMilliseconds(), Limit = limit, Explain = explain, Surface = Surface ?? "",
            Language = Language ?? "", Region = Region ?? "", ExcludeIds = excluded, Cursor = cursor, Arms = flags.ArmsOf(userId),
        };
    }

    private bool ReadExplain(Faults faults)
    {
        if (Explain is not (null or "" or "true" or "false" or "1" or "0"))
            faults.Add("explain", $"explain {Shown.Value(Explain)} is not true or false.");
        return Explain is "true" or "1";
    }

    private HashSet<string> ReadExcludeIds(Faults faults)
    {
        string[] ids = (ExcludeIds ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (ids.Length > ExcludeIdsMax)
            faults.Add("excludeIds", $"excludeIds holds {ids.Length} ids; at most {ExcludeIdsMax} are allowed.");
        foreach (string id in ids.Where(id => !MeshId.IsValid(id)).Take(5)) faults.Add("excludeIds", Rules.IdFault("excludeIds entry", id));
        return ids.ToHashSet(StringComparer.Ordinal);
    }

    private FeedCursor? ReadCursor(string userId, Faults faults)
    {
        if (string.IsNullOrEmpty(Cursor)) return null;
        FeedCursor? cursor = FeedCursor.Decode(Cursor, userId, out string fault);
        if (cursor is null) faults.Add("cursor", $"cursor {Shown.Value(Cursor)} cannot be used: {fault}.");
        return cursor;
    }
}
