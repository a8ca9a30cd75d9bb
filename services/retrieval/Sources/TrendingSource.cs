using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>What does well now, for anybody; the newest items where nothing has been acted on yet.</summary>
internal sealed class TrendingSource : ISource
{
    public string Name => SourceNames.Trending;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline) =>
        query.Index.Trending.Top(query.Index.Vectors, query.Filter, limit, query.ServerNowMs, query.Index.HalfLifeMs, deadline);
}
