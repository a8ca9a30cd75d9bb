using System.Reflection;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Input;
using Mesh.Gateway.Pipeline.Plan;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.SystemView;

/// <summary>The mesh as the gateway sees it now.</summary>
/// <param name="Services">Every service; one that does not answer is "down", with the reason.</param>
/// <param name="Index">Null where neither retrieval nor index-updater answered.</param>
/// <param name="EventLag">How far behind the index is.</param>
public sealed record SystemResponse(
    string Time, IReadOnlyList<ServiceView> Services, IndexView? Index, EventLagView EventLag, IReadOnlyList<string> RankerArms, string? ModelVersion, IReadOnlyList<string> Pipeline);

/// <param name="Status">"up", "not ready" (it answers, and says why it is not ready) or "down".</param>
/// <param name="Version">Version of the service's build; null where it does not say.</param>
/// <param name="Details">What the service says of itself.</param>
public sealed record ServiceView(
    string AppId, string Status, bool Ready, string? Version, string? Reason, double AnsweredMs, object? Details);

/// <param name="Sequence">Newest delta that retrieval has applied.</param>
/// <param name="HeadSequence">Newest delta that index-updater has stored.</param>
public sealed record IndexView(
    long Items, long Authors, long Tombstones, long Bytes, string? Version, string? ModelVersion, ulong? Sequence, ulong? HeadSequence, string? SnapshotVersion, ulong? SnapshotSequence);

/// <param name="Deltas">Deltas that index-updater has stored and retrieval has not applied yet.</param>
/// <param name="RetrievableMs">From the gateway accepting the newest applied change to it being retrievable.</param>
/// <param name="UpdaterMs">From the gateway accepting the newest event to index-updater having taken it in.</param>
/// <param name="SequenceStoreMs">From the gateway accepting the newest event to it being in its user's sequence.</param>
public sealed record EventLagView(ulong? Deltas, long? RetrievableMs, long? UpdaterMs, long? SequenceStoreMs);

/// <summary>
/// Asks every service at once, each with a short time of its own. A dead service is a line of the answer, never an error:
/// this page is for when something is wrong.
/// </summary>
internal sealed class SystemStatus(IMeshServices services, PipelinePlan plan, TimeProvider clock, IOptions<GatewayOptions> options)
{
    private static readonly string OwnVersion =
        typeof(SystemStatus).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    private TimeSpan Budget => TimeSpan.FromMilliseconds(options.Value.StatusTimeoutMs);

    public async Task<SystemResponse> AskAsync(CancellationToken cancellation)
    {
        Task<(ServiceView, JsonElement?)> sequenceStore = ViewAsync(AppIds.SequenceStore, GetSequenceStoreAsync, cancellation);
        Task<(ServiceView, RetrievalStatus?)> retrieval = ViewAsync(
            AppIds.Retrieval, token => Maybe(services.GetRetrievalStatusAsync(Budget, token)), cancellation);
        Task<(ServiceView, RankerStatus?)> ranker = ViewAsync(
            AppIds.Ranker, token => Maybe(services.GetRankerStatusAsync(Budget, token)), cancellation);
        Task<(ServiceView, UpdaterStatus?)> updater = ViewAsync(
            AppIds.IndexUpdater, token => Maybe(services.GetUpdaterStatusAsync(Budget, token)), cancellation);

        (ServiceView sequenceStoreView, JsonElement? sequences) = await sequenceStore;
        (ServiceView retrievalView, RetrievalStatus? index) = await retrieval;
        (ServiceView rankerView, RankerStatus? model) = await ranker;
        (ServiceView updaterView, UpdaterStatus? log) = await updater;
        var gateway = new ServiceView(AppIds.Gateway, "up", true, OwnVersion, null, 0, null);
        return new SystemResponse(
            Moment.Format(clock.GetUtcNow().ToUnixTimeMilliseconds()), [gateway, sequenceStoreView, retrievalView, rankerView, updaterView], ToIndex(index, log),
            new EventLagView(Behind(index, log), index?.LastDeltaLagMs, log?.LastEventLagMs, SequenceLag(sequences)),
            model?.Arms ?? [], NullIfEmpty(model?.ModelVersion), [.. plan.StageNames]);
    }

    /// <summary>A service's readiness and status, asked together; either failing does not hide the other.</summary>
    private async Task<(ServiceView View, T? Status)> ViewAsync<T>(
        string appId, Func<CancellationToken, Task<(T? Value, string? Fault)>> ask, CancellationToken cancellation)
    {
        long started = clock.GetTimestamp();
        using var timeout = new CancellationTokenSource(Budget, clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellation);
        Task<(int Status, JsonElement? Body)> readiness = services.GetJsonAsync(appId, "readyz", Budget, linked.Token);
        Task<(T? Value, string? Fault)> status = ask(linked.Token);
        (int Status, JsonElement? Body) ready = default;
        string? fault;
        T? value = default;
        try
        {
            // WaitAsync: a service that hangs is left behind when its time is over.
            ready = await readiness.WaitAsync(linked.Token);
            fault = ready.Status switch
            {
                StatusCodes.Status200OK => null,
                StatusCodes.Status503ServiceUnavailable when ready.Body is { } body => Reasons(body),
                _ => $"readyz answered {ready.Status}",
            };
            (value, string? statusFault) = await status.WaitAsync(linked.Token);
            fault ??= statusFault;
        }
        catch (ServiceUnavailableException failure)
        {
            fault = failure.Message;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            fault = $"no answer within {Budget.TotalMilliseconds:0} ms";
        }

        bool isReady = ready.Status == StatusCodes.Status200OK && fault is null;
        string state = isReady ? "up" : value is not null || ready.Body is not null ? "not ready" : "down";
        double answeredMs = Math.Round(clock.GetElapsedTime(started).TotalMilliseconds, 1);
        return (new ServiceView(appId, state, isReady, Version(ready.Body), fault, answeredMs, Details(value)), value);
    }

    private async Task<(JsonElement? Value, string? Fault)> GetSequenceStoreAsync(CancellationToken cancellation)
    {
        (JsonElement? body, string? fault) = await Maybe(Ask());
        return (body, fault);

        async Task<JsonElement?> Ask()
        {
            (int status, JsonElement? answer) = await services.GetJsonAsync(AppIds.SequenceStore, "status", Budget, cancellation);
            return status == StatusCodes.Status200OK ? answer : throw new ServiceUnavailableException($"status answered {status}", status);
        }
    }

    private static async Task<(T? Value, string? Fault)> Maybe<T>(Task<T> call)
    {
        try
        {
            return (await call, null);
        }
        catch (ServiceUnavailableException failure)
        {
            return (default, failure.Message);
        }
    }

    private static IndexView? ToIndex(RetrievalStatus? index, UpdaterStatus? log) => index is null && log is null ? null : new IndexView(
        index?.Items ?? log!.Items, index?.Authors ?? 0, index?.Tombstones ?? 0, index?.IndexBytes ?? 0, NullIfEmpty(index?.IndexVersion),
        NullIfEmpty(index?.ModelVersion ?? log?.ModelVersion), index?.Sequence, log?.HeadSequence ?? index?.HeadSequence, NullIfEmpty(log?.SnapshotVersion), log?.SnapshotSequence);

    private static ulong? Behind(RetrievalStatus? index, UpdaterStatus? log) =>
        index is null || log is null ? null : log.HeadSequence - Math.Min(log.HeadSequence, index.Sequence);

    private static long? SequenceLag(JsonElement? status) =>
        status is { ValueKind: JsonValueKind.Object } body && body.TryGetProperty("lastEventLagMs", out JsonElement lag)
        && lag.ValueKind == JsonValueKind.Number && lag.TryGetInt64(out long lagMs)
            ? lagMs
            : null;

    private static string? Version(JsonElement? readiness) =>
        readiness is { ValueKind: JsonValueKind.Object } body && body.TryGetProperty("version", out JsonElement version) && version.ValueKind == JsonValueKind.String
            ? version.GetString()
            : null;

    private static string Reasons(JsonElement readiness) =>
        readiness.ValueKind == JsonValueKind.Object && readiness.TryGetProperty("notReady", out JsonElement faults) && faults.ValueKind == JsonValueKind.Object
            ? string.Join("; ", faults.EnumerateObject().Select(fault => $"{fault.Name}: {fault.Value}"))
            : "it says that it is not ready";

    private static object? Details(object? status) => status switch
    {
        null => null,
        Google.Protobuf.IMessage message => JsonSerializer.Deserialize<JsonElement>(Hosting.ProtobufJson.Format(message)),
        _ => status,
    };

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
