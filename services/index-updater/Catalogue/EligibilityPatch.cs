using Google.Protobuf.Collections;
using Mesh.Contracts;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>Eligibility changes are masked by field, and of each field the latest change wins on its own.</summary>
internal static class EligibilityPatch
{
    /// <summary>Copies the fields that the change names and that no later change has written. Answers whether there was one.</summary>
    public static bool Apply(EligibilityChange change, Stamp stamp, Eligibility target, Stamp[] stamps)
    {
        bool applied = false;
        foreach (string field in change.Fields)
        {
            int index = Array.IndexOf(CatalogueEntry.EligibilityFields, field);
            if (index < 0 || stamp <= stamps[index]) continue;

            stamps[index] = stamp;
            Copy(field, change.Eligibility ?? new Eligibility(), target);
            applied = true;
        }

        return applied;
    }

    private static void Copy(string field, Eligibility from, Eligibility to)
    {
        switch (field)
        {
            case "hidden": to.Hidden = from.Hidden; break;
            case "languages": Replace(to.Languages, from.Languages); break;
            case "regions": Replace(to.Regions, from.Regions); break;
            case "safety": to.Safety = from.Safety; break;
            default: throw new ArgumentOutOfRangeException(nameof(field), field, "Not a field of eligibility.");
        }
    }

    private static void Replace(RepeatedField<string> to, RepeatedField<string> from)
    {
        to.Clear();
        to.AddRange(from);
    }
}
