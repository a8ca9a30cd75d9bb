using System.Runtime.CompilerServices;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Sequences;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Training;

/// <summary>
/// One training row for each logged request, joined on the fly: a user's log is read once and shared by all of that user's
/// rows. In memory at a time: one log, the ids of one user's requests and <see cref="EntriesAtOnce"/> entries. Rows come in
/// the order of (hash of the user, request id), which nothing that is written meanwhile changes, so that any row is a cursor.
/// </summary>
internal sealed class TrainingExport(IUserStateStore store, UserDirectory users, RequestLog requests, SequenceReader reader)
{
    private const int DirectoriesAtOnce = 32;
    private const int EntriesAtOnce = 16;

    public async IAsyncEnumerable<TrainingRow> RowsAsync(TrainingQuery query, [EnumeratorCancellation] CancellationToken cancellation)
    {
        long left = query.RowsMax;
        await foreach (IReadOnlyList<string> group in users.UsersAsync(query.After?.User, cancellation))
        {
            foreach (string[] some in group.Chunk(DirectoriesAtOnce))
            {
                IReadOnlyDictionary<string, byte[]> directories = await store.GetAsync([.. some.Select(StateKeys.RequestDirectory)], cancellation);
                foreach (string user in some)
                {
                    await foreach (TrainingRow row in RowsOfAsync(user, directories.Read<RequestDirectory>(StateKeys.RequestDirectory(user)), query, cancellation))
                    {
                        yield return row;
                        if (--left == 0) yield break;
                    }
                }
            }
        }
    }

    private async IAsyncEnumerable<TrainingRow> RowsOfAsync(
        string user, RequestDirectory directory, TrainingQuery query, [EnumeratorCancellation] CancellationToken cancellation)
    {
        Ulid after = query.After is { } cursor && cursor.User == user ? cursor.RequestId : Ulid.Empty;
        List<Ulid> wanted =
        [
            .. (await requests.ListAsync(user, directory, cancellation))
                .Where(request => request.Id.CompareTo(after) > 0 && (request.TimeMs == 0 || IsIn(query, request.TimeMs))).Select(request => request.Id),
        ];
        if (wanted.Count == 0) yield break;

        var log = new JoinedLog(await reader.LogAsync(user, cancellation));
        foreach (Ulid[] some in wanted.Chunk(EntriesAtOnce))
        {
            foreach (RequestLogEntry entry in await requests.ReadAsync(user, some, cancellation))
            {
                if (IsIn(query, entry.TimeMs)) yield return log.RowOf(entry, query);
            }
        }
    }

    private static bool IsIn(TrainingQuery query, long timeMs) => timeMs >= query.FromMs && timeMs < query.UntilMs;
}
