using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>All that a source may look at: one index, one user, one filter.</summary>
/// <param name="Queries">What vectors are compared with: by the index's user tower, or means of the history. None = nothing is known of the user.</param>
/// <param name="NowMs">The request's time: ages count from here.</param>
/// <param name="ServerNowMs">The server's time: orders cache refreshes and evictions, which no caller may steer.</param>
internal sealed record SourceQuery(
    LiveIndex Index, UserInterest Interest, QueryVectors Queries, IReadOnlyList<string> Follows, RowFilter Filter, long NowMs, long ServerNowMs);

/// <summary>One way to find candidates. Synchronous: the work is in memory.</summary>
internal interface ISource
{
    /// <summary>Its name in requests and reports; one of <see cref="SourceNames"/>.</summary>
    string Name { get; }

    /// <summary>
    /// At most <paramref name="limit"/> rows that the filter admits, best first. A score depends on row, user and time alone, never on
    /// which other rows this index holds: the gateway merges the answers of several shards by it.
    /// </summary>
    /// <exception cref="OperationCanceledException">The deadline passed.</exception>
    List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline);
}

internal static class SourceNames
{
    public const string InNetwork = "in-network";
    public const string TwoTower = "two-tower";
    public const string SemanticId = "semantic-id";
    public const string Trending = "trending";

    /// <summary>Named in the answers of POST similar; cannot be asked for in POST retrieve.</summary>
    public const string Similar = "similar";
}
