using System.Globalization;
using Dapr.Client;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Mesh.Contracts;
using Microsoft.Extensions.DependencyInjection;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Hosting;

/// <summary>Registration of everything that talks to this service's sidecar.</summary>
public static class Sidecar
{
    /// <summary>
    /// Registers <see cref="DaprClient"/> (protobuf-aware JSON), <see cref="ServiceInvoker"/>, <see cref="SidecarState"/>
    /// and <see cref="EventPublisher"/>.
    /// </summary>
    public static IServiceCollection AddMeshSidecar(this IServiceCollection services)
    {
        services.AddDaprClient(dapr => dapr.UseJsonSerializationOptions(JsonOptions()));
        services.AddSingleton<ServiceInvoker>();
        services.AddSingleton<SidecarState>();
        services.AddSingleton<EventPublisher>();
        return services;
    }

    internal static System.Text.Json.JsonSerializerOptions JsonOptions() =>
        new(System.Text.Json.JsonSerializerDefaults.Web) { Converters = { new ProtobufJsonConverterFactory() } };
}

/// <summary>Calls another service through the sidecar: protobuf in, protobuf out, with a budget that the callee sees.</summary>
public sealed class ServiceInvoker(DaprClient dapr) : IDisposable
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, HttpClient> _clients = new(StringComparer.Ordinal);

    /// <summary>Sends a message and reads the answer as one.</summary>
    /// <param name="budget">Time the call may take; sent on as <see cref="Deadline.Header"/>.</param>
    /// <exception cref="ServiceCallException">The callee answered another status than 2xx.</exception>
    /// <exception cref="OperationCanceledException">The budget ran out (TimeoutException inside) or the caller left.</exception>
    public async Task<TResponse> PostAsync<TRequest, TResponse>(string appId, string path, TRequest message, TimeSpan budget, CancellationToken cancellation)
        where TRequest : IMessage<TRequest> where TResponse : IMessage<TResponse>, new()
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Post, appId, path, message, budget, cancellation);
        return await ReadAsync<TResponse>(response, cancellation);
    }

    /// <summary>Gets a message.</summary>
    /// <inheritdoc cref="PostAsync{TRequest,TResponse}"/>
    public async Task<TResponse> GetAsync<TResponse>(string appId, string path, TimeSpan budget, CancellationToken cancellation)
        where TResponse : IMessage<TResponse>, new()
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, appId, path, null, budget, cancellation);
        return await ReadAsync<TResponse>(response, cancellation);
    }

    /// <summary>Sends without caring for the answer's body.</summary>
    /// <inheritdoc cref="PostAsync{TRequest,TResponse}"/>
    public async Task SendAsync(HttpMethod method, string appId, string path, TimeSpan budget, CancellationToken cancellation, IMessage? message = null)
    {
        using HttpResponseMessage response = await SendAsync(method, appId, path, message, budget, cancellation);
    }

    /// <summary>The client of one callee, kept for the life of this invoker: for calls with other bodies than protobuf.</summary>
    public HttpClient ClientOf(string appId) => _clients.GetOrAdd(appId, static (id, sidecar) =>
    {
        HttpClient made = sidecar.CreateInvokableHttpClient(id);
        made.Timeout = Timeout.InfiniteTimeSpan; // each call carries its own budget
        return made;
    }, dapr);

    public void Dispose()
    {
        foreach (HttpClient client in _clients.Values) client.Dispose();
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string appId, string path, IMessage? message, TimeSpan budget, CancellationToken cancellation)
    {
        HttpClient client = ClientOf(appId);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(budget);
        using var request = new HttpRequestMessage(method, path);
        request.Headers.Add(Deadline.Header, ((int)budget.TotalMilliseconds).ToString(CultureInfo.InvariantCulture));
        if (message is not null)
        {
            request.Content = new ByteArrayContent(message.ToByteArray());
            request.Content.Headers.ContentType = new(ProtobufBody.ContentType);
        }

        HttpResponseMessage response;
        try
        {
            response = await client.SendAsync(request, HttpCompletionOption.ResponseContentRead, timeout.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException($"{appId}/{path} did not answer within {budget.TotalMilliseconds:0} ms.", new TimeoutException());
        }

        if (response.IsSuccessStatusCode) return response;
        string reason = await response.Content.ReadAsStringAsync(CancellationToken.None);
        int status = (int)response.StatusCode;
        response.Dispose();
        throw new ServiceCallException(appId, path, status, reason);
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage response, CancellationToken cancellation) where T : IMessage<T>, new()
    {
        byte[] bytes = await response.Content.ReadAsByteArrayAsync(cancellation);
        return new MessageParser<T>(static () => new T()).ParseFrom(bytes);
    }
}

/// <summary>Another service answered with a failure.</summary>
public sealed class ServiceCallException(string appId, string path, int status, string reason)
    : Exception($"{appId}/{path} answered {status}: {(reason.Length > 300 ? reason[..300] : reason)}")
{
    public string AppId => appId;

    public int Status => status;
}

/// <summary>
/// Raw byte state. Writes go through <see cref="DaprClient"/>; the SDK's bulk get turns values into strings, so that one call
/// uses the same wire message through the generated client.
/// </summary>
public sealed class SidecarState : IDisposable
{
    private readonly DaprClient _dapr;
    private readonly GrpcChannel _channel;
    private readonly Wire.Dapr.DaprClient _wire;
    private readonly Metadata _headers = [];

    public SidecarState(DaprClient dapr)
    {
        _dapr = dapr;
        string endpoint = Environment.GetEnvironmentVariable("DAPR_GRPC_ENDPOINT") is { Length: > 0 } configured
            ? configured
            : $"http://127.0.0.1:{Environment.GetEnvironmentVariable("DAPR_GRPC_PORT") ?? "50001"}";
        // A read whose budget is spent ends as a cancellation, which Deadline answers with 504, and not as a fault of ours.
        _channel = GrpcChannel.ForAddress(endpoint, new GrpcChannelOptions { MaxReceiveMessageSize = null, ThrowOperationCanceledOnCancellation = true });
        _wire = new Wire.Dapr.DaprClient(_channel);
        if (Environment.GetEnvironmentVariable("DAPR_API_TOKEN") is { Length: > 0 } token) _headers.Add("dapr-api-token", token);
    }

    /// <summary>Values of many keys in one round trip; keys without a value are left out.</summary>
    public async Task<Dictionary<string, byte[]>> GetBulkAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(keys);
        var values = new Dictionary<string, byte[]>(keys.Count, StringComparer.Ordinal);
        if (keys.Count == 0) return values;

        var request = new Wire.GetBulkStateRequest { StoreName = Components.StateStore, Parallelism = 16, Keys = { keys } };
        Wire.GetBulkStateResponse response = await _wire.GetBulkStateAsync(request, _headers, cancellationToken: cancellation);
        foreach (Wire.BulkStateItem item in response.Items)
        {
            if (item.Error.Length > 0) throw new InvalidOperationException($"State key {item.Key} could not be read: {item.Error}");
            if (item.Data.Length > 0) values[item.Key] = item.Data.ToByteArray();
        }

        return values;
    }

    /// <summary>Sets and deletes keys in one transaction: all or nothing.</summary>
    /// <param name="writes">Value to set, or null to delete. The store's own limit on operations applies.</param>
    public Task TransactAsync(IEnumerable<KeyValuePair<string, byte[]?>> writes, CancellationToken cancellation)
    {
        List<StateTransactionRequest> operations =
        [
            .. writes.Select(write => write.Value is { } value
                ? new StateTransactionRequest(write.Key, value, StateOperationType.Upsert)
                : new StateTransactionRequest(write.Key, null, StateOperationType.Delete)),
        ];
        return operations.Count == 0
            ? Task.CompletedTask
            : _dapr.ExecuteStateTransactionAsync(Components.StateStore, operations, cancellationToken: cancellation);
    }

    public void Dispose() => _channel.Dispose();
}

/// <summary>Publishes protobuf messages: when a call returns, the broker holds them durably.</summary>
public sealed class EventPublisher(DaprClient dapr)
{
    /// <summary>Publishes one message.</summary>
    public Task PublishAsync<T>(string pubsub, string topic, T message, CancellationToken cancellation) where T : IMessage<T> =>
        dapr.PublishEventAsync(pubsub, topic, message, cancellation);

    /// <summary>
    /// Publishes a batch and returns the indexes that the broker did not take, with its reason; the others are durable.
    /// </summary>
    /// <exception cref="Dapr.DaprException">The call itself failed: nothing is known to be durable.</exception>
    public async Task<IReadOnlyDictionary<int, string>> PublishBulkAsync<T>(string pubsub, string topic, IReadOnlyList<T> messages, CancellationToken cancellation)
        where T : IMessage<T>
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages.Count == 0) return new Dictionary<int, string>();

        BulkPublishResponse<T> response = await dapr.BulkPublishEventAsync(pubsub, topic, messages, cancellationToken: cancellation);
        return response.FailedEntries.ToDictionary(
            failed => int.Parse(failed.Entry.EntryId, NumberStyles.None, CultureInfo.InvariantCulture), failed => failed.ErrorMessage);
    }
}
