using Mesh.Contracts;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Writing;

/// <summary>
/// Writes to a user, in turn with every other write to that user. The edge to the actors: they may run in another replica.
/// A call that throws has an unknown outcome and can be repeated; every write is idempotent.
/// </summary>
internal interface IUserWriter
{
    Task AppendAsync(string user, IReadOnlyList<Engagement> events, CancellationToken cancellation);

    Task MarkServedAsync(string user, IReadOnlyList<Impressions> pages, CancellationToken cancellation);

    Task<ProfileOutcome> ChangeProfileAsync(string user, ProfileChange change, CancellationToken cancellation);

    Task LogRequestAsync(RequestLogEntry entry, CancellationToken cancellation);

    Task EraseAsync(string user, CancellationToken cancellation);
}
