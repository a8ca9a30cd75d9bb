using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Mesh.Simulator.Rest;

/// <summary>
/// The writing side of the public REST API. A gateway that is busy (429, 503), restarting (connection refused or cut, 502, 504)
/// or briefly broken (500) is asked again, no sooner than its Retry-After says. Safe to use from several threads.
/// </summary>
public sealed class FeedApi : IDisposable
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(60);

    private readonly HttpClient _http;
    private readonly RetryOptions _retry;
    private readonly TimeProvider _clock;

    public FeedApi(Uri gateway, RetryOptions? retry = null, TimeProvider? clock = null)
    {
        _http = new HttpClient(new SocketsHttpHandler { UseProxy = false, PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30) })
        {
            BaseAddress = gateway,
            Timeout = AnswerPatience,
        };
        _retry = retry ?? new RetryOptions();
        _clock = clock ?? TimeProvider.System;
    }

    /// <summary>Calls that had to be repeated so far.</summary>
    public long Retries => Interlocked.Read(ref _retries);

    private long _retries;

    /// <exception cref="FeedApiException">The call was refused as such, or patience ran out.</exception>
    public Task<BatchAnswer> PostItemsAsync(IReadOnlyList<ItemBody> items, CancellationToken cancellation) => PostAsync("v1/items", new { items }, items.Count, cancellation);

    /// <inheritdoc cref="PostItemsAsync"/>
    public Task<BatchAnswer> PostEventsAsync(IReadOnlyList<EventBody> events, CancellationToken cancellation) => PostAsync("v1/events", new { events }, events.Count, cancellation);

    /// <summary>Makes a user follow an author.</summary>
    /// <returns>Null, or why the gateway refuses it for good.</returns>
    /// <exception cref="FeedApiException">Patience ran out.</exception>
    public async Task<string?> PutFollowAsync(FollowBody follow, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(follow);
        string path = $"v1/users/{Uri.EscapeDataString(follow.UserId)}/follows/{Uri.EscapeDataString(follow.AuthorId)}";
        using HttpResponseMessage response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Put, path), cancellation);
        return response.IsSuccessStatusCode ? null : await DescribeAsync(response, cancellation);
    }

    /// <summary>The body of a GET as JSON.</summary>
    /// <exception cref="FeedApiException">The gateway answered anything but 2xx, or patience ran out.</exception>
    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path), cancellation);
        if (!response.IsSuccessStatusCode) throw new FeedApiException(await DescribeAsync(response, cancellation));
        return await response.Content.ReadFromJsonAsync<JsonElement>(cancellation);
    }

    public void Dispose() => _http.Dispose();

    private async Task<BatchAnswer> PostAsync(string path, object body, int rows, CancellationToken cancellation)
    {
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(body, Json);
        using HttpResponseMessage response = await SendAsync(
            () =>
            {
                var content = new ByteArrayContent(bytes);
                content.Headers.ContentType = new MediaTypeHeaderValue("application/json") { CharSet = "utf-8" };
                return new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
            },
            cancellation);
        if (!response.IsSuccessStatusCode) throw new FeedApiException(await DescribeAsync(response, cancellation));

        JsonElement answer = await response.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        RejectedRow[] rejected = answer.TryGetProperty("rejected", out JsonElement list) && list.ValueKind is JsonValueKind.Array
            ? [.. list.EnumerateArray().Select(row => new RejectedRow(row.GetProperty("index").GetInt32(), row.GetProperty("errors").ToString()))]
            : [];
        return new BatchAnswer(answer.TryGetProperty("accepted", out JsonElement accepted) ? accepted.GetInt32() : rows - rejected.Length, rejected);
    }

    private async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> make, CancellationToken cancellation)
    {
        long started = _clock.GetTimestamp();
        TimeSpan pause = _retry.FirstPause;
        while (true)
        {
            (HttpResponseMessage? response, string failure, TimeSpan? retryAfter) = await TryAsync(make, cancellation);
            if (response is not null) return response;

            TimeSpan wait = retryAfter ?? pause;
            if (_clock.GetElapsedTime(started) + wait > _retry.Patience)
            {
                throw new FeedApiException($"{_http.BaseAddress} took nothing for {_retry.Patience.TotalSeconds:0} s; last: {failure}");
            }

            Interlocked.Increment(ref _retries);
            await Task.Delay(wait, _clock, cancellation);
            pause = pause * 2 < _retry.LongestPause ? pause * 2 : _retry.LongestPause;
        }
    }

    // A response to use, or why there is none yet and how long the server wants to be left alone.
    private async Task<(HttpResponseMessage? Response, string Failure, TimeSpan? RetryAfter)> TryAsync(Func<HttpRequestMessage> make, CancellationToken cancellation)
    {
        try
        {
            using HttpRequestMessage request = make();
            HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseContentRead, cancellation);
            if (!IsTransient(response.StatusCode)) return (response, "", null);

            using (response) return (null, $"{(int)response.StatusCode} {response.StatusCode}", RetryAfter(response));
        }
        catch (HttpRequestException exception)
        {
            return (null, exception.Message, null);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return (null, $"no answer within {AnswerPatience.TotalSeconds:0} s", null);
        }
    }

    private static bool IsTransient(HttpStatusCode status) => status
        is HttpStatusCode.TooManyRequests or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway
        or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        TimeSpan? asked = response.Headers.RetryAfter switch
        {
            { Delta: { } delta } => delta,
            { Date: { } date } => date - _clock.GetUtcNow(),
            _ => null,
        };
        if (asked is not { } wait) return null;
        return wait < TimeSpan.Zero ? TimeSpan.Zero : wait < _retry.RetryAfterMax ? wait : _retry.RetryAfterMax;
    }

    private static async Task<string> DescribeAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        string body = await response.Content.ReadAsStringAsync(cancellation);
        return $"{response.RequestMessage?.Method} {response.RequestMessage?.RequestUri?.AbsolutePath} answered {(int)response.StatusCode}: {(body.Length > 500 ? body[..500] : body)}";
    }
}
