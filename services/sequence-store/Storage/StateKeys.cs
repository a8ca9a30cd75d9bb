using System.Globalization;

namespace Mesh.SequenceStore.Storage;

/// <summary>
/// Keys in the state store. User ids may hold ':', and still no two users share a key: the last part says the kind, and where
/// it is a number the part before it does, so that the rest is the user.
/// </summary>
internal static class StateKeys
{
    public static string Head(string user) => $"u:{user}:h";

    public static string Chunk(string user, long chunkId) => string.Create(CultureInfo.InvariantCulture, $"u:{user}:c:{chunkId}");

    public static string Engaged(string user) => $"u:{user}:e";

    public static string Profile(string user) => $"u:{user}:p";

    public static string Served(string user) => $"u:{user}:s";

    public static string RequestDirectory(string user) => $"u:{user}:r";

    public static string RequestPage(string user, long pageId) => string.Create(CultureInfo.InvariantCulture, $"u:{user}:r:{pageId}");

    public static string Request(Ulid requestId) => $"r:{requestId}";

    public static string DirectoryNode(string prefix) => $"d:{prefix}";
}
