using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// The request log: one entry per served feed page under its own key, and per user a paged directory of request ids, which is
/// how erasure finds them all. The oldest page that no longer fits takes its entries with it, so that no entry is ever
/// without a directory. Writes: one caller at a time for one user.
/// </summary>
internal sealed class RequestLog(IUserStateStore store, int pagesMax)
{
    public const int PageIds = 256;

    /// <summary>The entry of a request, or null.</summary>
    public async Task<RequestLogEntry?> FindAsync(Ulid requestId, CancellationToken cancellation)
    {
        string key = StateKeys.Request(requestId);
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([key], cancellation);
        return values.ContainsKey(key) ? values.Read<RequestLogEntry>(key) : null;
    }

    /// <summary>Stores an entry. The same request id again changes nothing: the first entry stays.</summary>
    public async Task AppendAsync(string user, RequestLogEntry entry, CancellationToken cancellation)
    {
        Ulid requestId = Ulid.Parse(entry.RequestId);
        string headKey = StateKeys.Head(user), directoryKey = StateKeys.RequestDirectory(user), entryKey = StateKeys.Request(requestId);
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([headKey, directoryKey, entryKey], cancellation);
        if (values.ContainsKey(entryKey) || entry.TimeMs <= values.Read<UserHead>(headKey).ErasedAtMs) return;

        var writes = new Dictionary<string, byte[]?>(StringComparer.Ordinal) { [entryKey] = entry.ToByteArray() };
        RequestDirectory directory = values.Read<RequestDirectory>(directoryKey);
        if (directory.TailRequestIds.Length == PageIds * EventColumnsCodec.IdBytes)
        {
            writes[StateKeys.RequestPage(user, directory.NextPageId)] = new RequestPage { RequestIds = directory.TailRequestIds }.ToState();
            directory.PageIds.Add(directory.NextPageId++);
            directory.TailRequestIds = ByteString.Empty;
            if (directory.PageIds.Count > pagesMax) await ForgetOldestPageAsync(user, directory, writes, cancellation);
        }

        directory.TailRequestIds = ByteString.CopyFrom([.. directory.TailRequestIds.Span, .. requestId.ToByteArray()]);
        writes[directoryKey] = directory.ToState();
        await store.TransactAsync(writes, cancellation);
    }

    /// <summary>Deletes every entry of a user, page by page: a crash in between leaves a directory of exactly what is left.</summary>
    public async Task EraseAsync(string user, CancellationToken cancellation)
    {
        string directoryKey = StateKeys.RequestDirectory(user);
        RequestDirectory directory = (await store.GetAsync([directoryKey], cancellation)).Read<RequestDirectory>(directoryKey);
        while (directory.PageIds.Count > 0)
        {
            var writes = new Dictionary<string, byte[]?>(StringComparer.Ordinal);
            await ForgetOldestPageAsync(user, directory, writes, cancellation);
            writes[directoryKey] = directory.ToState();
            await store.TransactAsync(writes, cancellation);
        }

        await store.TransactAsync([.. EntriesOf(directory.TailRequestIds), new(directoryKey, null)], cancellation);
    }

    private async Task ForgetOldestPageAsync(string user, RequestDirectory directory, Dictionary<string, byte[]?> writes, CancellationToken cancellation)
    {
        string pageKey = StateKeys.RequestPage(user, directory.PageIds[0]);
        directory.PageIds.RemoveAt(0);
        RequestPage page = (await store.GetAsync([pageKey], cancellation)).Read<RequestPage>(pageKey);
        foreach (KeyValuePair<string, byte[]?> deletion in EntriesOf(page.RequestIds)) writes[deletion.Key] = null;
        writes[pageKey] = null;
    }

    private static IEnumerable<KeyValuePair<string, byte[]?>> EntriesOf(ByteString ids)
    {
        for (int i = 0; i < ids.Length / EventColumnsCodec.IdBytes; i++)
        {
            yield return new(StateKeys.Request(EventColumnsCodec.IdAt(ids, i)), null);
        }
    }
}
