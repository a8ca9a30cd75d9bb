using System.Net.Http.Headers;
using System.Text.Json;
using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.PubSub.Publishing;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>What the app says of one message.</summary>
internal enum Verdict
{
    Success,
    Retry,
    Drop,
}

/// <summary>The app's answer to one message, with what to say in the log where it is no success.</summary>
/// <param name="Status">HTTP status of the answer.</param>
internal readonly record struct Answer(Verdict Verdict, string Reason, int Status);

/// <summary>The app did not listen, or went away while it handled the request: it says nothing of the message.</summary>
internal sealed class AppUnreachableException(string message, bool wasHandling, Exception inner) : Exception(message, inner)
{
    /// <summary>The request had reached the app.</summary>
    public bool WasHandling => wasHandling;
}

/// <summary>Posts messages to the app and reads its verdicts, as the pub/sub API of Dapr defines them.</summary>
internal sealed class AppPoster(AppChannel app)
{
    private const int ReasonLengthMax = 300;
    private static readonly MediaTypeHeaderValue CloudEvents = new(CloudEventEnvelope.ContentType);
    private static readonly MediaTypeHeaderValue Json = new("application/json");

    /// <summary>Delivers one message.</summary>
    /// <exception cref="AppUnreachableException">The app is not there.</exception>
    public async Task<Answer> PostAsync(SubscriptionDefinition subscription, string path, ReceivedMessage message, CancellationToken cancellation)
    {
        ReadOnlyMemory<byte> body = subscription.RawPayload
            ? CloudEventEnvelope.AroundRaw(subscription.PubSub, subscription.Topic, message.Data.Span, message.Metadata)
            : message.Data;
        using HttpResponseMessage response = await SendAsync(path, body, CloudEvents, TraceParent.Find(body.Span), cancellation);
        byte[] answer = await ReadAsync(response, cancellation);
        int status = (int)response.StatusCode;
        if (!response.IsSuccessStatusCode) return Failed(status, answer);

        // No body, no JSON and no status all mean success.
        return StatusOf(answer) switch
        {
            null or "" or "SUCCESS" => new Answer(Verdict.Success, "", status),
            "RETRY" => new Answer(Verdict.Retry, "the app answered RETRY", 0),
            "DROP" => new Answer(Verdict.Drop, "the app answered DROP", 0),
            var unknown => new Answer(Verdict.Retry, $"the app answered with the unknown status '{unknown}'", 0),
        };
    }

    /// <summary>Delivers a bulk.</summary>
    /// <returns>One answer for each message, in their order.</returns>
    /// <exception cref="AppUnreachableException">The app is not there.</exception>
    public async Task<Answer[]> PostBulkAsync(
        SubscriptionDefinition subscription, string path, IReadOnlyList<ReceivedMessage> messages, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(path, BulkEnvelope.Write(subscription, messages), Json, null, cancellation);
        byte[] body = await ReadAsync(response, cancellation);
        var answers = new Answer[messages.Count];
        int status = (int)response.StatusCode;
        if (!response.IsSuccessStatusCode)
        {
            Array.Fill(answers, Failed(status, body));
            return answers;
        }

        Array.Fill(answers, new Answer(Verdict.Retry, "the app's answer has no status for this entry", 0));
        BulkEnvelope.ReadStatuses(body, messages, answers);
        return answers;
    }

    private static Answer Failed(int status, byte[] body)
    {
        string text = System.Text.Encoding.UTF8.GetString(body.AsSpan(0, Math.Min(body.Length, ReasonLengthMax)));
        return new Answer(status == StatusCodes.Status404NotFound ? Verdict.Drop : Verdict.Retry, $"the app answered {status}: {text}", status);
    }

    private static string? StatusOf(byte[] body)
    {
        if (body.Length == 0) return null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            return document.RootElement.ValueKind != JsonValueKind.Object ? null : JsonNames.Find(document.RootElement, "status") switch
            {
                { ValueKind: JsonValueKind.String } status => status.GetString(),
                _ => null,
            };
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private async Task<HttpResponseMessage> SendAsync(
        string path, ReadOnlyMemory<byte> body, MediaTypeHeaderValue type, string? traceParent, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path.TrimStart('/'), UriKind.Relative))
        {
            Content = new ReadOnlyMemoryContent(body) { Headers = { ContentType = type } },
        };
        if (traceParent is not null) request.Headers.TryAddWithoutValidation("traceparent", traceParent);
        try
        {
            return await app.SendAsync(request, cancellation);
        }
        catch (HttpRequestException exception)
        {
            throw new AppUnreachableException(exception.Message, exception.HttpRequestError != HttpRequestError.ConnectionError, exception);
        }
    }

    private static async Task<byte[]> ReadAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            return await response.Content.ReadAsByteArrayAsync(cancellation);
        }
        catch (HttpRequestException exception)
        {
            throw new AppUnreachableException(exception.Message, wasHandling: true, exception);
        }
    }
}

/// <summary>JSON objects whose names may come in any case, as the .NET SDK and Go's decoder have it.</summary>
internal static class JsonNames
{
    public static JsonElement? Find(JsonElement json, string name)
    {
        if (json.TryGetProperty(name, out JsonElement exact)) return exact;
        foreach (JsonProperty property in json.EnumerateObject())
        {
            if (property.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) return property.Value;
        }

        return null;
    }
}

/// <summary>Finds an event's trace context without parsing the whole event.</summary>
internal static class TraceParent
{
    public static string? Find(ReadOnlySpan<byte> cloudEvent)
    {
        var reader = new Utf8JsonReader(cloudEvent);
        try
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool found = reader.ValueTextEquals("traceparent"u8);
                if (!reader.Read()) return null;
                if (found) return reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
                reader.Skip();
            }

            return null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
