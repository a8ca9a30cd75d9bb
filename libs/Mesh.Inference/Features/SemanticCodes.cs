using Google.Protobuf.Collections;

namespace Mesh.Inference.Features;

/// <summary>
/// Codes of an item as graphs take them. An item without codes, or with codes of another shape, is unknown (-1 on every level): a
/// code past the table would fail the whole run, for every request in it.
/// </summary>
internal static class SemanticCodes
{
    public static void Write(RepeatedField<uint>? codes, SemanticIdShape shape, Span<long> row)
    {
        bool usable = codes is not null && codes.Count == shape.Levels;
        for (int level = 0; usable && level < shape.Levels; level++)
        {
            row[level] = codes![level];
            usable = codes[level] < (uint)shape.CodesPerLevel;
        }

        if (!usable) row[..shape.Levels].Fill(-1);
    }
}
