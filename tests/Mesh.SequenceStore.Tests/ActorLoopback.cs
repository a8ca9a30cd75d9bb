using System.Collections.Concurrent;

namespace Mesh.SequenceStore.Tests;

/// <summary>
/// The part of a sidecar that carries actor calls, in the test's process: it takes what the SDK's proxy sends to
/// <c>/v1.0/actors/...</c> and brings it to the app's actor routes, one call per actor at a time.
/// </summary>
internal sealed class ActorLoopback(Func<HttpMessageHandler> app) : HttpMessageHandler
{
    private readonly ConcurrentDictionary<string, SemaphoreSlim> _turns = new(StringComparer.Ordinal);
    private HttpMessageInvoker? _app;

    /// <summary>Actors that took a call, in order of arrival.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        // /v1.0/actors/{type}/{id}/method/{method}
        string[] parts = request.RequestUri!.AbsolutePath.Split('/', StringSplitOptions.RemoveEmptyEntries);
        Calls.Enqueue(Uri.UnescapeDataString(parts[3]));
        SemaphoreSlim turn = _turns.GetOrAdd($"{parts[2]}/{parts[3]}", _ => new SemaphoreSlim(1));
        await turn.WaitAsync(cancellationToken);
        try
        {
            using var call = new HttpRequestMessage(HttpMethod.Put, $"http://app/actors/{parts[2]}/{parts[3]}/method/{parts[5]}");
            foreach ((string name, IEnumerable<string> values) in request.Headers) call.Headers.TryAddWithoutValidation(name, values);
            byte[] body = request.Content is null ? [] : await request.Content.ReadAsByteArrayAsync(cancellationToken);
            call.Content = new ByteArrayContent(body);
            _app ??= new HttpMessageInvoker(app());
            return await _app.SendAsync(call, cancellationToken);
        }
        finally
        {
            turn.Release();
        }
    }
}
