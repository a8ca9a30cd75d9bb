using Mesh.Contracts;
using Mesh.Hosting;

namespace Mesh.Gateway.Edge;

/// <summary>
/// The apps of retrieval, each by its app id and with the shard of the index that it holds: a process edge. Budgets and exceptions are
/// those of <see cref="IMeshServices"/>.
/// </summary>
internal interface IRetrievalApps
{
    Task<RetrieveResponse> RetrieveAsync(string appId, RetrieveRequest request, TimeSpan budget, CancellationToken cancellation);

    Task<HistoryResponse> FindHistoryAsync(string appId, HistoryRequest request, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Null where the app does not hold the item and the request brings no embedding of it.</summary>
    Task<SimilarResponse?> FindSimilarAsync(string appId, SimilarRequest request, TimeSpan budget, CancellationToken cancellation);
}

/// <summary>The apps through this gateway's sidecar.</summary>
internal sealed class SidecarRetrievalApps(ServiceInvoker invoker) : IRetrievalApps
{
    public Task<RetrieveResponse> RetrieveAsync(string appId, RetrieveRequest request, TimeSpan budget, CancellationToken cancellation) => SidecarServices.Guard(
        appId, "retrieve", invoker.PostAsync<RetrieveRequest, RetrieveResponse>(appId, "retrieve", request, budget, cancellation), cancellation);

    public Task<HistoryResponse> FindHistoryAsync(string appId, HistoryRequest request, TimeSpan budget, CancellationToken cancellation) => SidecarServices.Guard(
        appId, "history", invoker.PostAsync<HistoryRequest, HistoryResponse>(appId, "history", request, budget, cancellation), cancellation);

    public Task<SimilarResponse?> FindSimilarAsync(string appId, SimilarRequest request, TimeSpan budget, CancellationToken cancellation) =>
        SidecarServices.NullWhereUnknown(SidecarServices.Guard(
            appId, "similar", invoker.PostAsync<SimilarRequest, SimilarResponse>(appId, "similar", request, budget, cancellation), cancellation));
}
