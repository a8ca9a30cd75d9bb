using Mesh.Contracts;

namespace Mesh.SequenceStore.Training;

/// <summary>What an export is to hold.</summary>
/// <param name="FromMs">Requests at or after this moment.</param>
/// <param name="UntilMs">Requests before this moment.</param>
/// <param name="EventsMax">Most events of a row's sequence.</param>
/// <param name="WindowMs">How long after a request an event that names it counts as its label.</param>
/// <param name="UnservedMax">Most candidates of a row that were not served.</param>
/// <param name="RowsMax">Most rows.</param>
/// <param name="After">The row to go on after; null = from the first.</param>
internal sealed record TrainingQuery(long FromMs, long UntilMs, int EventsMax, long WindowMs, int UnservedMax, long RowsMax, TrainingCursor? After);

/// <summary>A row's place in the export: <c>{requestId}:{userId}</c>, which every row holds.</summary>
internal sealed record TrainingCursor(Ulid RequestId, string User)
{
    private const int UlidLength = 26;

    /// <summary>Reads a cursor; null where it is none.</summary>
    public static TrainingCursor? Parse(string text)
    {
        if (text.Length < UlidLength + 2 || text[UlidLength] != ':') return null;

        (string requestId, string user) = (text[..UlidLength], text[(UlidLength + 1)..]);
        return MeshId.IsUlid(requestId) && MeshId.IsValid(user) ? new TrainingCursor(Ulid.Parse(requestId), user) : null;
    }
}
