using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Sources;

/// <summary>
/// What retrieval need not return: hashes of items that the filters would remove as seen or served anyway. Asking for
/// others instead keeps a page full for a user who has seen nearly everything.
/// </summary>
internal static class Exclusions
{
    public static IEnumerable<uint> Of(FeedQuery query)
    {
        var hashes = new HashSet<uint>(query.Context.Engaged);
        foreach ((string itemId, _) in query.SequenceItems()) hashes.Add(ItemHash.Compute(itemId));
        foreach (string itemId in query.ExcludeIds) hashes.Add(ItemHash.Compute(itemId));
        if (query.Cursor is { } cursor)
        {
            hashes.UnionWith(cursor.Served);
            hashes.UnionWith(query.Context.Served);
        }

        return hashes;
    }
}
