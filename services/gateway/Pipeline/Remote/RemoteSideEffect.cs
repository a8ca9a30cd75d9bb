using System.Text.Json.Nodes;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Remote;

/// <summary>A side effect in another app: it is told the query and the served items, in order. Its answer is ignored.</summary>
internal sealed class RemoteSideEffect(IMeshServices services, StageDefinition stage) : ISideEffect
{
    public bool IsHop => true;

    public Task RunAsync(FeedSlate slate, StageCall call)
    {
        JsonObject told = StageJson.Request(slate.Query, slate.Selected, stage.Params);
        return services.InvokeStageAsync(stage.Invoke!.AppId, stage.Invoke.Method, told, call.Budget, call.Cancellation);
    }
}
