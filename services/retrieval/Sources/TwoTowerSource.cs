using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>Items whose vector is closest to the user's query vectors. Without a history there is no query and nothing is found.</summary>
internal sealed class TwoTowerSource : ISource
{
    public string Name => SourceNames.TwoTower;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline) =>
        query.Queries.Count == 0 ? [] : query.Index.Vectors.Search(query.Queries, limit, query.Filter, deadline);
}
