using System.Text.Json;
using Dapr;
using Dapr.AspNetCore;
using Google.Protobuf;
using Mesh.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Mesh.Hosting;

/// <summary>What a consumer says of one message: exactly one of these.</summary>
public enum Delivery
{
    /// <summary>Done, durably. The broker forgets it.</summary>
    Success,

    /// <summary>Could not be done now; deliver it again.</summary>
    Retry,

    /// <summary>Can never be done; drop it (to the dead-letter topic where there is one).</summary>
    Drop,
}

/// <summary>Subscriptions in bulk: one POST carries many messages, the answer has one status for each.</summary>
public static partial class BulkTopic
{
    /// <summary>
    /// Subscribes <paramref name="handler"/> to a topic. Messages that cannot be parsed never reach it: they are dropped
    /// and logged once. An exception from the handler means retry for the whole batch.
    /// </summary>
    /// <param name="handler">Takes the parsed messages in order of arrival; answers with as many deliveries.</param>
    public static IEndpointConventionBuilder MapBulkTopic<T>(
        this IEndpointRouteBuilder endpoints, string pubsub, string topic, Func<IReadOnlyList<T>, CancellationToken, Task<IReadOnlyList<Delivery>>> handler,
        int messagesMax = Limits.BatchMax, int awaitMs = 20)
        where T : IMessage<T>, new()
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ILogger logger = endpoints.ServiceProvider.GetRequiredService<ILoggerFactory>().CreateLogger($"Mesh.Topic.{topic}");
        return endpoints.MapPost($"/topics/{topic}", context => HandleAsync(context, topic, handler, logger))
            .WithTopic(new TopicOptions { PubsubName = pubsub, Name = topic, DeadLetterTopic = Topics.DeadLetters })
            .WithBulkSubscribe(new BulkSubscribeTopicOptions { TopicName = topic, MaxMessagesCount = messagesMax, MaxAwaitDurationMs = awaitMs })
            .WithMetadata(new RequestSizeLimitMetadata(64L * 1024 * 1024))
            .ExcludeFromDescription();
    }

    private static async Task HandleAsync<T>(
        HttpContext context, string topic, Func<IReadOnlyList<T>, CancellationToken, Task<IReadOnlyList<Delivery>>> handler, ILogger logger)
        where T : IMessage<T>, new()
    {
        using JsonDocument body = await JsonDocument.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
        var statuses = new List<BulkSubscribeAppResponseEntry>();
        var messages = new List<T>();
        var entryIds = new List<string>();
        foreach (JsonElement entry in body.RootElement.GetProperty("entries").EnumerateArray())
        {
            string entryId = entry.GetProperty("entryId").GetString()!;
            if (TryParse(entry, out T? message, out string fault))
            {
                messages.Add(message!);
                entryIds.Add(entryId);
            }
            else
            {
                Poison(logger, topic, entryId, fault);
                statuses.Add(new BulkSubscribeAppResponseEntry(entryId, BulkSubscribeAppResponseStatus.DROP));
            }
        }

        if (messages.Count > 0)
        {
            IReadOnlyList<Delivery> deliveries = await handler(messages, context.RequestAborted);
            for (int i = 0; i < entryIds.Count; i++)
            {
                statuses.Add(new BulkSubscribeAppResponseEntry(entryIds[i], Map(deliveries[i])));
            }
        }

        await context.Response.WriteAsJsonAsync(new BulkSubscribeAppResponse(statuses), context.RequestAborted);
    }

    private static bool TryParse<T>(JsonElement entry, out T? message, out string fault) where T : IMessage<T>, new()
    {
        message = default;
        fault = "";
        try
        {
            JsonElement cloudEvent = entry.GetProperty("event");
            if (cloudEvent.ValueKind == JsonValueKind.Object && cloudEvent.TryGetProperty("data", out JsonElement data))
            {
                // data is an object for application/json, a string where the broker re-encoded it.
                string json = data.ValueKind == JsonValueKind.String ? data.GetString()! : data.GetRawText();
                message = ProtobufJson.Parse<T>(json);
                return true;
            }

            fault = "the entry holds no CloudEvent with data";
            return false;
        }
        catch (Exception exception) when (exception is InvalidProtocolBufferException or InvalidJsonException or KeyNotFoundException or InvalidOperationException)
        {
            fault = exception.Message;
            return false;
        }
    }

    private static BulkSubscribeAppResponseStatus Map(Delivery delivery) => delivery switch
    {
        Delivery.Success => BulkSubscribeAppResponseStatus.SUCCESS,
        Delivery.Drop => BulkSubscribeAppResponseStatus.DROP,
        _ => BulkSubscribeAppResponseStatus.RETRY,
    };

    [LoggerMessage(EventId = 11, Level = LogLevel.Error, Message = "Message {EntryId} on topic {Topic} cannot be read and is dropped: {Fault}")]
    private static partial void Poison(ILogger logger, string topic, string entryId, string fault);

    // A bulk delivery holds up to a thousand CloudEvents; the sidecar is trusted with more than a client's body.
    private sealed record RequestSizeLimitMetadata(long? MaxRequestBodySize) : Microsoft.AspNetCore.Http.Metadata.IRequestSizeLimitMetadata;
}
