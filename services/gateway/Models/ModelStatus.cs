using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Models;

/// <summary>The models of the mesh as the gateway sees them now.</summary>
/// <param name="Live">The version that index-updater, retrieval and ranker agree on; null while they do not, or one does not answer.</param>
public sealed record ModelsResponse(string? Live, IReadOnlyList<ServiceModel> Services);

/// <param name="Version">Model that the service works with; null where it does not answer.</param>
/// <param name="Next">Model that it is being changed to; null where there is none.</param>
/// <param name="Loaded">Every version that it could score with at once; the ranker only.</param>
/// <param name="Reason">Why there is no version.</param>
public sealed record ServiceModel(string AppId, string? Version, string? Next, IReadOnlyList<string> Loaded, string? Reason);

/// <summary>Asks the three services that hold a model at once, each with a short time of its own.</summary>
internal sealed class ModelStatus(IMeshServices services, TimeProvider clock, IOptions<GatewayOptions> options)
{
    public async Task<ModelsResponse> AskAsync(CancellationToken cancellation)
    {
        // Of index-updater the first shard: where another lags behind, its app of retrieval shows it.
        ServiceModel[] answers = await Task.WhenAll(
        [
            AskAsync(
                AppIds.IndexUpdater, (budget, token) => services.GetUpdaterStatusAsync(0, budget, token),
                status => new(AppIds.IndexUpdater, status.ModelVersion, NullIfEmpty(status.NextModelVersion), [], null), cancellation),
            .. options.Value.RetrievalApps.Select(app => AskAsync(
                app, (budget, token) => services.GetRetrievalStatusAsync(app, budget, token), status => new(app, status.ModelVersion, null, [], null), cancellation)),
            AskAsync(AppIds.Ranker, services.GetRankerStatusAsync, status => new(AppIds.Ranker, status.ModelVersion, null, [.. status.ModelVersions], null), cancellation),
        ]);
        string? live = answers[0].Version;
        return new ModelsResponse(live is not null && answers.All(answer => answer.Version == live) ? live : null, answers);
    }

    private async Task<ServiceModel> AskAsync<T>(
        string appId, Func<TimeSpan, CancellationToken, Task<T>> ask, Func<T, ServiceModel> view, CancellationToken cancellation)
    {
        TimeSpan budget = TimeSpan.FromMilliseconds(options.Value.StatusTimeoutMs);
        try
        {
            return view(await ask(budget, cancellation).WaitAsync(budget, clock, cancellation));
        }
        catch (ServiceUnavailableException failure)
        {
            return new ServiceModel(appId, null, null, [], failure.Message);
        }
        catch (TimeoutException)
        {
            return new ServiceModel(appId, null, null, [], $"no answer within {budget.TotalMilliseconds:0} ms");
        }
    }

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}
