using System.Reflection;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Input;
using Mesh.Gateway.Pipeline.Plan;
using Mesh.Gateway.Shards;
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
/// <param name="Shards">Each shard as it is; the numbers beside are their sums, the versions those of the first.</param>
public sealed record IndexView(
    long Items, long Authors, long Tombstones, long Bytes, string? Version, string? ModelVersion, ulong? Sequence, ulong? HeadSequence, string? SnapshotVersion, ulong? SnapshotSequence,
    IReadOnlyList<ShardView> Shards);

/// <param name="Items">Null where the app does not answer: its items are missing in feeds.</param>
/// <param name="Fault">Why the shard is missing, or what of the topology does not fit together; null where nothing is wrong.</param>
public sealed record ShardView(int Shard, string AppId, long? Items, string? Version, string? ModelVersion, ulong? Sequence, ulong? HeadSequence, string? Fault);

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
        IReadOnlyList<string> apps = options.Value.RetrievalApps;
        Task<(ServiceView, JsonElement?)> sequenceStore = ViewAsync(AppIds.SequenceStore, GetSequenceStoreAsync, cancellation);
        Task<(ServiceView View, RetrievalStatus? Status)[]> retrieval = Task.WhenAll(
            apps.Select(app => ViewAsync(app, token => Maybe(services.GetRetrievalStatusAsync(app, Budget, token)), cancellation)));
        Task<(ServiceView, RankerStatus?)> ranker = ViewAsync(
            AppIds.Ranker, token => Maybe(services.GetRankerStatusAsync(Budget, token)), cancellation);
        Task<(ServiceView, UpdaterStatus?[]?)> updater = ViewAsync(AppIds.IndexUpdater, token => GetUpdaterAsync(apps.Count, token), cancellation);

        (ServiceView sequenceStoreView, JsonElement? sequences) = await sequenceStore;
        (ServiceView View, RetrievalStatus? Status)[] shards = await retrieval;
        (ServiceView rankerView, RankerStatus? model) = await ranker;
        (ServiceView updaterView, UpdaterStatus?[]? logs) = await updater;
        ShardView[] views = [.. shards.Select((shard, i) => ToShard(i, shard.View, shard.Status, logs?[i]))];
        var gateway = new ServiceView(AppIds.Gateway, "up", true, OwnVersion, null, 0, null);
        return new SystemResponse(
            Moment.Format(clock.GetUtcNow().ToUnixTimeMilliseconds()), [gateway, sequenceStoreView, .. shards.Select(shard => shard.View), rankerView, updaterView],
            ToIndex([.. shards.Select(shard => shard.Status)], logs, views),
            new EventLagView(
                logs is null ? null : Behind(views), shards.Max(shard => shard.Status?.LastDeltaLagMs), logs?.Max(log => log?.LastEventLagMs), SequenceLag(sequences)),
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

    /// <summary>Its status of each shard; one that it does not have is null, and the fault says why.</summary>
    private async Task<(UpdaterStatus?[]? Value, string? Fault)> GetUpdaterAsync(int shards, CancellationToken cancellation)
    {
        (UpdaterStatus? Value, string? Fault)[] logs = await Task.WhenAll(
            Enumerable.Range(0, shards).Select(shard => Maybe(services.GetUpdaterStatusAsync(shard, Budget, cancellation))));
        string? fault = logs.Select(log => log.Fault).FirstOrDefault(fault => fault is not null);
        return (logs.All(log => log.Value is null) ? null : [.. logs.Select(log => log.Value)], fault);
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

    private ShardView ToShard(int place, ServiceView view, RetrievalStatus? index, UpdaterStatus? log)
    {
        string? fault = index is null
            ? view.Reason ?? "no answer"
            : Topology.FaultOf(place, options.Value.RetrievalApps.Count, index.Shard, log?.Shards is > 0 and var shards ? shards : index.Shards);
        return new ShardView(
            place, view.AppId, index?.Items, NullIfEmpty(index?.IndexVersion), NullIfEmpty(index?.ModelVersion), index?.Sequence, log?.HeadSequence ?? index?.HeadSequence, fault);
    }

    private static IndexView? ToIndex(RetrievalStatus?[] shards, UpdaterStatus?[]? logs, IReadOnlyList<ShardView> views)
    {
        if (logs is null && shards.All(static shard => shard is null)) return null;
        RetrievalStatus[] answered = [.. shards.OfType<RetrievalStatus>()];
        RetrievalStatus? first = answered.FirstOrDefault();
        UpdaterStatus? log = logs?[0];
        return new IndexView(
            shards.Select((shard, i) => shard?.Items ?? logs?[i]?.Items ?? 0).Sum(), answered.Sum(static shard => shard.Authors), answered.Sum(static shard => shard.Tombstones),
            answered.Sum(static shard => shard.IndexBytes), NullIfEmpty(first?.IndexVersion), NullIfEmpty(first?.ModelVersion ?? log?.ModelVersion),
            Sum(views.Select(static view => view.Sequence)), Sum(views.Select(static view => view.HeadSequence)), NullIfEmpty(log?.SnapshotVersion),
            logs is null ? null : Sum(logs.Select(static shard => shard?.SnapshotSequence)), views);
    }

    // Null where a part is not known: a sum without it would look like progress lost.
    private static ulong? Sum(IEnumerable<ulong?> parts) => parts.Aggregate((ulong?)0, static (sum, part) => sum + part);

    private static ulong? Behind(IEnumerable<ShardView> views) => Sum(views.Select(static view =>
        view.Sequence is { } applied && view.HeadSequence is { } head ? head - Math.Min(head, applied) : (ulong?)null));

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
        UpdaterStatus?[] logs => Details(logs.FirstOrDefault(static log => log is not null)),
        Google.Protobuf.IMessage message => JsonSerializer.Deserialize<JsonElement>(Hosting.ProtobufJson.Format(message)),
        _ => status,
    };

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
