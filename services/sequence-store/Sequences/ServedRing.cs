using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Remembers what a user was served last, each item once. A page applied twice changes nothing while its event id is among
/// the last <see cref="PagesMax"/>; after that it only moves its items to the end. One caller at a time for one user.
/// </summary>
internal sealed class ServedRing(IUserStateStore store, int servedMax)
{
    public const int PagesMax = 256;

    public async Task MarkAsync(string user, IReadOnlyList<Impressions> pages, CancellationToken cancellation)
    {
        string headKey = StateKeys.Head(user), servedKey = StateKeys.Served(user);
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([headKey, servedKey], cancellation);
        long erasedAtMs = values.Read<UserHead>(headKey).ErasedAtMs;
        ServedItems served = values.Read<ServedItems>(servedKey);

        List<ulong> recentPages = [.. served.RecentPages];
        var hashes = new List<uint>(served.ItemHashes);
        bool changed = false;
        foreach (Impressions page in pages.Where(page => page.TimeMs > erasedAtMs))
        {
            ulong fingerprint = EventColumnsCodec.Fingerprint(Ulid.Parse(page.EventId));
            if (recentPages.Contains(fingerprint)) continue;

            recentPages.Add(fingerprint);
            HashSet<uint> again = [.. page.ItemIds.Select(ItemHash.Compute)];
            hashes.RemoveAll(again.Contains);
            hashes.AddRange(again);
            changed = true;
        }

        if (!changed) return;
        var next = new ServedItems { ItemHashes = { hashes.Skip(hashes.Count - servedMax) }, RecentPages = { recentPages.Skip(recentPages.Count - PagesMax) } };
        await store.TransactAsync([new(servedKey, next.ToState())], cancellation);
    }
}
