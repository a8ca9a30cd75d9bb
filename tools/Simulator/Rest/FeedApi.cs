using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Mesh.Simulator.Rest;

/// <summary>
/// The writing side of the public REST API. A gateway that is busy (429, 503), restarting (connection refused or cut, 502, 504)
/// or briefly broken (500) is asked again, no sooner than its Retry-After says; rows of a batch that only the broker did not take are
/// sent again, too. Safe to use from several threads.
/// </summary>
public sealed class FeedApi : IDisposable
{
    /// <summary>Key under which the gateway says that a row is fine and was not published.</summary>
    private const string Broker = "broker";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

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
    public Task<BatchAnswer> PostItemsAsync(IReadOnlyList<ItemBody> items, CancellationToken cancellation) =>
        PostAsync("v1/items", "items", items, cancellation);

    /// <inheritdoc cref="PostItemsAsync"/>
    public Task<BatchAnswer> PostEventsAsync(IReadOnlyList<EventBody> events, CancellationToken cancellation) =>
        PostAsync("v1/events", "events", events, cancellation);

    /// <summary>Makes a user follow an author.</summary>
    /// <returns>Null, or why the gateway refuses it for good.</returns>
    /// <exception cref="FeedApiException">Patience ran out.</exception>
    public Task<string?> PutFollowAsync(FollowBody follow, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(follow);
        return CallAsync(HttpMethod.Put, $"v1/users/{Uri.EscapeDataString(follow.UserId)}/follows/{Uri.EscapeDataString(follow.AuthorId)}", cancellation);
    }

    /// <summary>A call without a body; its answer is only whether it was done.</summary>
    /// <inheritdoc cref="PutFollowAsync"/>
    public async Task<string?> CallAsync(HttpMethod method, string path, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(() => new(method, path), new Waits(this), cancellation);
        return response.IsSuccessStatusCode ? null : await DescribeAsync(response, cancellation);
    }

    /// <summary>The body of a GET as JSON.</summary>
    /// <exception cref="FeedApiException">The gateway answered anything but 2xx, or patience ran out.</exception>
    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(() => new(HttpMethod.Get, path), new Waits(this), cancellation);
        if (!response.IsSuccessStatusCode) throw new FeedApiException(await DescribeAsync(response, cancellation));
        return await response.Content.ReadFromJsonAsync<JsonElement>(cancellation);
    }

    public void Dispose() => _http.Dispose();

    /// <summary>Sends a batch, and again the rows of it that only the broker did not take, until none is left.</summary>
    private async Task<BatchAnswer> PostAsync<T>(string path, string name, IReadOnlyList<T> rows, CancellationToken cancellation)
    {
        var waits = new Waits(this);
        var refused = new List<RejectedRow>();
        int accepted = 0;
        int[] open = [.. Enumerable.Range(0, rows.Count)]; // indexes in the batch of what is sent in this round
        while (true)
        {
            JsonElement answer = await PostOnceAsync(path, name, [.. open.Select(index => rows[index])], waits, cancellation);
            JsonElement[] rejected = answer.TryGetProperty("rejected", out JsonElement list) && list.ValueKind is JsonValueKind.Array
                ? [.. list.EnumerateArray()]
                : [];
            accepted += answer.TryGetProperty("accepted", out JsonElement count) ? count.GetInt32() : open.Length - rejected.Length;

            ILookup<bool, RejectedRow> byBroker = rejected.ToLookup(
                row => IsOfBroker(row.GetProperty("errors")),
                row => new RejectedRow(open[row.GetProperty("index").GetInt32()], row.GetProperty("errors").ToString()));
            refused.AddRange(byBroker[false]);
            RejectedRow[] again = [.. byBroker[true]];
            if (again.Length == 0) return new BatchAnswer(accepted, refused);

            if (again.Length < open.Length) waits.Restart(); // patience is for a broker that takes nothing
            open = [.. again.Select(row => row.Index)];
            await waits.NextAsync($"{again.Length} rows were not published: {again[0].Reason}", null, cancellation);
        }
    }

    private async Task<JsonElement> PostOnceAsync<T>(string path, string name, T[] rows, Waits waits, CancellationToken cancellation)
    {
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, T[]> { [name] = rows }, Json);
        using HttpResponseMessage response = await SendAsync(
            () =>
            {
                var content = new ByteArrayContent(bytes);
                content.Headers.ContentType = new MediaTypeHeaderValue("application/json") { CharSet = "utf-8" };
                return new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
            },
            waits, cancellation);
        if (!response.IsSuccessStatusCode) throw new FeedApiException(await DescribeAsync(response, cancellation));
        return await response.Content.ReadFromJsonAsync<JsonElement>(cancellation);
    }

    private static bool IsOfBroker(JsonElement errors) => errors.ValueKind is JsonValueKind.Object && errors.TryGetProperty(Broker, out _);

    private async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> make, Waits waits, CancellationToken cancellation)
    {
        while (true)
        {
            (HttpResponseMessage? response, string failure, TimeSpan? retryAfter) = await TryAsync(make, cancellation);
            if (response is not null) return response;
            await waits.NextAsync(failure, retryAfter, cancellation);
        }
    }

    /// <summary>The pauses between the tries of one call, and how much patience is left for it.</summary>
    private sealed class Waits(FeedApi api)
    {
        private long _started = api._clock.GetTimestamp();
        private TimeSpan _pause = api._retry.FirstPause;

        /// <summary>Something was taken: patience and pauses begin anew.</summary>
        public void Restart() => (_started, _pause) = (api._clock.GetTimestamp(), api._retry.FirstPause);

        /// <exception cref="FeedApiException">Patience does not last until the next try.</exception>
        public async Task NextAsync(string failure, TimeSpan? retryAfter, CancellationToken cancellation)
        {
            TimeSpan patience = api._retry.Patience;
            TimeSpan wait = retryAfter ?? _pause;
            if (api._clock.GetElapsedTime(_started) + wait > patience)
                throw new FeedApiException($"{api._http.BaseAddress} took nothing for {patience.TotalSeconds:0} s; last: {failure}");

            Interlocked.Increment(ref api._retries);
            await Task.Delay(wait, api._clock, cancellation);
            _pause = _pause * 2 < api._retry.LongestPause ? _pause * 2 : api._retry.LongestPause;
        }
    }

    // A response to use, or why there is none yet and how long the server wants to be left alone.
    private async Task<(HttpResponseMessage? Response, string Failure, TimeSpan? RetryAfter)> TryAsync(
        Func<HttpRequestMessage> make, CancellationToken cancellation)
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
        HttpRequestMessage? request = response.RequestMessage;
        string shown = body.Length > 500 ? body[..500] : body;
        return $"{request?.Method} {request?.RequestUri?.AbsolutePath} answered {(int)response.StatusCode}: {shown}";
    }
}
