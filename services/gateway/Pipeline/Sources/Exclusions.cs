using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Sources;

/// <summary>
/// What retrieval need not return: hashes of items that the filters would remove as seen or served anyway. Asking for
/// others instead keeps a page full for a user who has seen nearly everything.
/// </summary>
internal static class Exclusions
{
    /// <summary>Most hashes of one call, which is what retrieval takes. The filters judge every candidate anyway.</summary>
    private const int Max = 20_000;

    public static IEnumerable<uint> Of(FeedQuery query)
    {
        // What is most likely to be found again goes first: the newest events, then this session's pages.
        var hashes = new HashSet<uint>();
        foreach ((string itemId, _) in query.SequenceItems()) hashes.Add(ItemHash.Compute(itemId));
        foreach (string itemId in query.ExcludeIds) hashes.Add(ItemHash.Compute(itemId));
        if (query.Cursor is { } cursor)
        {
            hashes.UnionWith(cursor.Served);
            hashes.UnionWith(query.Context.Served);
        }

        hashes.UnionWith(query.Context.Engaged.Reverse()); // newest last, where the store keeps an order
        return hashes.Take(Max);
    }
}
