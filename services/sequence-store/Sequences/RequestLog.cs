using Google.Protobuf;
using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;
using Mesh.SequenceStore.Writing;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// The request log: one entry per served feed page under its own key, and per user a paged directory of request ids, which is
/// how erasure and the training export find them all. The oldest page that no longer fits takes its entries with it, so that
/// no entry is ever without a directory. Writes: one caller at a time for one user.
/// </summary>
internal sealed class RequestLog(IUserStateStore store, IDirectoryWriter users, int pagesMax)
{
    public const int PageIds = 256;

    /// <summary>The entry of a request, or null.</summary>
    public async Task<RequestLogEntry?> FindAsync(Ulid requestId, CancellationToken cancellation)
    {
        string key = StateKeys.Request(requestId);
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([key], cancellation);
        return values.ContainsKey(key) ? values.Read<RequestLogEntry>(key) : null;
    }

    /// <summary>
    /// Stores an entry. The same request id again changes nothing: the first entry stays. A user's first entry, and the next
    /// of a user whose log is older than the directory, puts the user into the directory before it is stored: a crash in
    /// between leaves a user listed without requests, which the export passes over and the next entry finds done.
    /// </summary>
    public async Task AppendAsync(string user, RequestLogEntry entry, CancellationToken cancellation)
    {
        Ulid requestId = Ulid.Parse(entry.RequestId);
        string headKey = StateKeys.Head(user), directoryKey = StateKeys.RequestDirectory(user), entryKey = StateKeys.Request(requestId);
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([headKey, directoryKey, entryKey], cancellation);
        if (values.ContainsKey(entryKey) || entry.TimeMs <= values.Read<UserHead>(headKey).ErasedAtMs) return;

        var writes = new Dictionary<string, byte[]?>(StringComparer.Ordinal) { [entryKey] = entry.ToByteArray() };
        RequestDirectory directory = values.Read<RequestDirectory>(directoryKey);
        if (!directory.Listed) await users.AddAsync(user, cancellation);
        directory.Listed = true;
        while (directory.TailTimesMs.Count < directory.TailRequestIds.Length / EventColumnsCodec.IdBytes) directory.TailTimesMs.Add(0);
        if (directory.TailRequestIds.Length == PageIds * EventColumnsCodec.IdBytes)
        {
            writes[StateKeys.RequestPage(user, directory.NextPageId)] = new RequestPage { RequestIds = directory.TailRequestIds, TimesMs = { directory.TailTimesMs } }.ToState();
            directory.PageIds.Add(directory.NextPageId++);
            directory.TailRequestIds = ByteString.Empty;
            directory.TailTimesMs.Clear();
            if (directory.PageIds.Count > pagesMax) await ForgetOldestPageAsync(user, directory, writes, cancellation);
        }

        directory.TailRequestIds = ByteString.CopyFrom([.. directory.TailRequestIds.Span, .. requestId.ToByteArray()]);
        directory.TailTimesMs.Add(entry.TimeMs);
        writes[directoryKey] = directory.ToState();
        await store.TransactAsync(writes, cancellation);
    }

    /// <summary>The requests of a user that are in the log, in the order of their ids.</summary>
    /// <param name="directory">What lies under the user's key now.</param>
    public async Task<List<LoggedRequest>> ListAsync(string user, RequestDirectory directory, CancellationToken cancellation)
    {
        string[] pageKeys = [.. directory.PageIds.Select(page => StateKeys.RequestPage(user, page))];
        IReadOnlyDictionary<string, byte[]> pages = await store.GetAsync(pageKeys, cancellation);
        var requests = new List<LoggedRequest>();
        foreach (RequestPage page in pageKeys.Select(pages.Read<RequestPage>)) AddTo(requests, page.RequestIds, page.TimesMs);
        AddTo(requests, directory.TailRequestIds, directory.TailTimesMs);
        requests.Sort((x, y) => x.Id.CompareTo(y.Id));
        return requests;
    }

    /// <summary>
    /// Entries of a user; those that are gone, and those that an erasure has overtaken, are left out. The head comes in the
    /// same round trip: an erasure deletes entries after it has marked the head.
    /// </summary>
    public async Task<List<RequestLogEntry>> ReadAsync(string user, IEnumerable<Ulid> requestIds, CancellationToken cancellation)
    {
        string headKey = StateKeys.Head(user);
        string[] keys = [.. requestIds.Select(StateKeys.Request)];
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([headKey, .. keys], cancellation);
        long erasedAtMs = values.Read<UserHead>(headKey).ErasedAtMs;
        return [.. keys.Where(values.ContainsKey).Select(values.Read<RequestLogEntry>).Where(entry => entry.TimeMs > erasedAtMs)];
    }

    /// <summary>
    /// Deletes every entry of a user, page by page, and the user's place in the directory last: a crash in between leaves a
    /// directory of exactly what is left.
    /// </summary>
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
        await users.RemoveAsync(user, cancellation);
    }

    private async Task ForgetOldestPageAsync(string user, RequestDirectory directory, Dictionary<string, byte[]?> writes, CancellationToken cancellation)
    {
        string pageKey = StateKeys.RequestPage(user, directory.PageIds[0]);
        directory.PageIds.RemoveAt(0);
        RequestPage page = (await store.GetAsync([pageKey], cancellation)).Read<RequestPage>(pageKey);
        foreach (KeyValuePair<string, byte[]?> deletion in EntriesOf(page.RequestIds)) writes[deletion.Key] = null;
        writes[pageKey] = null;
    }

    private static void AddTo(List<LoggedRequest> requests, ByteString ids, RepeatedField<long> timesMs)
    {
        for (int i = 0; i < ids.Length / EventColumnsCodec.IdBytes; i++)
        {
            requests.Add(new LoggedRequest(EventColumnsCodec.IdAt(ids, i), i < timesMs.Count ? timesMs[i] : 0));
        }
    }

    private static IEnumerable<KeyValuePair<string, byte[]?>> EntriesOf(ByteString ids)
    {
        for (int i = 0; i < ids.Length / EventColumnsCodec.IdBytes; i++)
        {
            yield return new(StateKeys.Request(EventColumnsCodec.IdAt(ids, i)), null);
        }
    }
}

/// <summary>One request of the log.</summary>
/// <param name="TimeMs">When it was; 0 = not known without reading its entry.</param>
internal readonly record struct LoggedRequest(Ulid Id, long TimeMs);
