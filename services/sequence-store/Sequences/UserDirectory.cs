using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Who has a request log: a trie over the hex digits of SHA-256 of the user id, under keys that can be named, as the state
/// API has no query. Two digits make 256 buckets, each with one caller at a time (an actor), so that there is no hot key, and
/// the only write of a user is the first. A leaf past <see cref="UsersMax"/> splits in one transaction. Readers need no lock:
/// a split is for good, so that whoever walks in hash order meets every user once, whatever is written meanwhile.
/// </summary>
internal sealed class UserDirectory(IUserStateStore store, int usersMax = UserDirectory.UsersMax)
{
    /// <summary>Users of one node: at most 33 KB.</summary>
    public const int UsersMax = 256;

    private const int BucketDigits = 2;
    private const string Digits = "0123456789abcdef";

    /// <summary>The part of the directory that a user is in; each has one writer.</summary>
    public static string BucketOf(string user) => HashOf(user)[..BucketDigits];

    /// <summary>Adds a user. Adding again changes nothing.</summary>
    public async Task AddAsync(string user, CancellationToken cancellation)
    {
        (string prefix, DirectoryNode leaf) = await LeafAsync(user, cancellation);
        if (leaf.Users.Contains(user)) return;

        var writes = new Dictionary<string, byte[]?>(StringComparer.Ordinal);
        Write(prefix, [.. leaf.Users, user], writes);
        await store.TransactAsync(writes, cancellation);
    }

    /// <summary>Removes a user. Removing one who is not there changes nothing.</summary>
    public async Task RemoveAsync(string user, CancellationToken cancellation)
    {
        (string prefix, DirectoryNode leaf) = await LeafAsync(user, cancellation);
        if (leaf.Users.Remove(user)) await store.TransactAsync([new(StateKeys.DirectoryNode(prefix), leaf.ToState())], cancellation);
    }

    /// <summary>All users in the order of their hashes, in groups of at most <see cref="UsersMax"/>.</summary>
    /// <param name="from">Where to begin: at this user, or at the next where it is not there; null = at the first.</param>
    public IAsyncEnumerable<IReadOnlyList<string>> UsersAsync(string? from, CancellationToken cancellation) =>
        UnderAsync("", from is null ? "" : HashOf(from), cancellation);

    private async IAsyncEnumerable<IReadOnlyList<string>> UnderAsync(
        string prefix, string from, [EnumeratorCancellation] CancellationToken cancellation)
    {
        string[] children = [.. Digits.Select(digit => prefix + digit).Where(child => string.CompareOrdinal(child, Head(from, child.Length)) >= 0)];
        bool stored = prefix.Length + 1 >= BucketDigits;
        IReadOnlyDictionary<string, byte[]> nodes = stored
            ? await store.GetAsync([.. children.Select(StateKeys.DirectoryNode)], cancellation)
            : new Dictionary<string, byte[]>();
        foreach (string child in children)
        {
            DirectoryNode node = nodes.Read<DirectoryNode>(StateKeys.DirectoryNode(child));
            if (!stored || node.Split)
            {
                await foreach (IReadOnlyList<string> below in UnderAsync(child, from, cancellation)) yield return below;
            }
            else if (node.Users.Where(user => string.CompareOrdinal(HashOf(user), from) >= 0).ToArray() is { Length: > 0 } users)
            {
                yield return users;
            }
        }
    }

    private async Task<(string Prefix, DirectoryNode Leaf)> LeafAsync(string user, CancellationToken cancellation)
    {
        string hash = HashOf(user);
        for (int digits = BucketDigits; ; digits++)
        {
            string key = StateKeys.DirectoryNode(hash[..digits]);
            DirectoryNode node = (await store.GetAsync([key], cancellation)).Read<DirectoryNode>(key);
            if (!node.Split) return (hash[..digits], node);
        }
    }

    private void Write(string prefix, IReadOnlyList<string> users, Dictionary<string, byte[]?> writes)
    {
        var node = new DirectoryNode { Split = users.Count > usersMax };
        if (!node.Split) node.Users.Add(users.OrderBy(HashOf, StringComparer.Ordinal));
        writes[StateKeys.DirectoryNode(prefix)] = node.ToState();
        if (!node.Split) return;

        foreach (IGrouping<char, string> child in users.GroupBy(user => HashOf(user)[prefix.Length])) Write(prefix + child.Key, [.. child], writes);
    }

    private static string Head(string hash, int digits) => hash.Length <= digits ? hash : hash[..digits];

    // A cryptographic hash, because ids come from outside: with one that can be aimed, a few thousand chosen ids would make
    // one leaf of all of them and one path of the trie as long as the hash.
    private static string HashOf(string user) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(user)));
}
