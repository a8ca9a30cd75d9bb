using Mesh.Contracts;

namespace Mesh.Retrieval.Filters;

/// <summary>Who looks: language (BCP 47) and region of the viewer, empty where unknown.</summary>
internal readonly record struct Audience(string Language, string Region)
{
    public static readonly Audience Anyone = new("", "");

    /// <summary>
    /// Whether the item may be shown: not hidden, and the viewer within its languages and regions. An empty list means
    /// everywhere, an unknown viewer fits every list. An entry "en" covers a viewer with "en-US" (RFC 4647 basic filtering).
    /// </summary>
    public bool MaySee(Eligibility eligibility) =>
        !eligibility.Hidden
        && (Language.Length == 0 || eligibility.Languages.Count == 0 || CoversLanguage(eligibility, Language))
        && (Region.Length == 0 || eligibility.Regions.Count == 0 || CoversRegion(eligibility, Region));

    private static bool CoversLanguage(Eligibility eligibility, string language)
    {
        foreach (string range in eligibility.Languages)
        {
            if (language.StartsWith(range, StringComparison.OrdinalIgnoreCase)
                && (language.Length == range.Length || (range.Length > 0 && language[range.Length] == '-'))) return true;
        }

        return false;
    }

    private static bool CoversRegion(Eligibility eligibility, string region)
    {
        foreach (string allowed in eligibility.Regions)
        {
            if (string.Equals(allowed, region, StringComparison.OrdinalIgnoreCase)) return true;
        }

        return false;
    }
}
