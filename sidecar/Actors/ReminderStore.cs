using System.Text.Json;
using Mesh.Sidecar.State;

namespace Mesh.Sidecar.Actors;

/// <summary>
/// Reminders in the actor state store, one key each. The key is not in the form of actor state, so that no actor can read
/// or write it.
/// </summary>
internal sealed class ReminderStore(IStateStore store, string appId, ILogger logger)
{
    private const int BatchMax = 256;
    private const string Prefix = "dapr-reminder||";

    /// <summary>Writes a reminder, durable once this returns.</summary>
    /// <exception cref="StateConflictException">It exists and is not to be overwritten, or <paramref name="etag"/> is out of date.</exception>
    public Task WriteAsync(Reminder reminder, bool overwrite, string? etag, CancellationToken cancellation) =>
        store.WriteAsync([new StateWrite(KeyOf(reminder.Key), reminder.ToDocument(), etag, FirstWrite: !overwrite)], cancellation);

    /// <exception cref="StateConflictException"><paramref name="etag"/> is out of date.</exception>
    public Task DeleteAsync(ReminderKey key, string? etag, CancellationToken cancellation) =>
        store.WriteAsync([new StateWrite(KeyOf(key), null, etag)], cancellation);

    /// <summary>Null where there is none, or none that can be read.</summary>
    public async Task<(Reminder Reminder, string ETag)?> FindAsync(ReminderKey key, CancellationToken cancellation)
    {
        StateItem? item = await store.GetAsync(KeyOf(key), cancellation);
        return item is not null && Read(KeyOf(key), item) is { } reminder ? (reminder, item.ETag) : null;
    }

    /// <summary>All reminders of a type, or of one actor.</summary>
    public async Task<IReadOnlyList<Reminder>> ListAsync(string type, string? actorId, CancellationToken cancellation)
    {
        string prefix = $"{Prefix}{appId}||{Uri.EscapeDataString(type)}||{(actorId is null ? "" : $"{Uri.EscapeDataString(actorId)}||")}";
        var found = new List<Reminder>();
        foreach (string[] keys in (await store.KeysAsync(prefix, cancellation)).Chunk(BatchMax))
        {
            IReadOnlyList<StateItem?> items = await store.GetBulkAsync(keys, cancellation);
            for (int i = 0; i < keys.Length; i++)
            {
                if (items[i] is { } item && Read(keys[i], item) is { } reminder) found.Add(reminder);
            }
        }

        return found;
    }

    // Parts are percent-encoded, so that no two reminders share a key whatever their ids hold.
    private string KeyOf(ReminderKey key) =>
        $"{Prefix}{appId}||{Uri.EscapeDataString(key.Actor.Type)}||{Uri.EscapeDataString(key.Actor.Id)}||{Uri.EscapeDataString(key.Name)}";

    private Reminder? Read(string key, StateItem item)
    {
        try
        {
            return Reminder.FromDocument(item.Value);
        }
        catch (JsonException error)
        {
            Log.ReminderUnreadable(logger, key, error.Message);
            return null;
        }
    }
}
