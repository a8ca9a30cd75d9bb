using System.Net.Sockets;

namespace Mesh.Sidecar.Runtime;

/// <summary>HTTP calls from the sidecar to its app: base address, API token, concurrency limit, and waiting until it listens.</summary>
public sealed class AppChannel : IDisposable
{
    private static readonly TimeSpan ProbePause = TimeSpan.FromMilliseconds(50);
    private readonly SidecarOptions _options;
    private readonly TimeProvider _clock;
    private readonly SemaphoreSlim? _slots;
    private readonly HttpMessageInvoker _invoker;

    public AppChannel(SidecarOptions options, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _clock = clock;
        BaseAddress = new Uri($"http://{options.AppAddress}:{options.AppPort}/");
        _slots = options.AppConcurrencyMax is { } max and > 0 ? new SemaphoreSlim(max) : null;
        _invoker = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            UseCookies = false,
            ActivityHeadersPropagator = null,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
        });
    }

    public Uri BaseAddress { get; }

    /// <summary>Sends a request whose URI is relative to the app. The body may stream both ways; the caller disposes the response.</summary>
    /// <exception cref="HttpRequestException">The app does not answer.</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        request.RequestUri = new Uri(BaseAddress, request.RequestUri!);
        if (_options.AppApiToken is { } token) request.Headers.TryAddWithoutValidation("dapr-api-token", token);
        if (_slots is null) return await _invoker.SendAsync(request, cancellation);

        await _slots.WaitAsync(cancellation);
        try
        {
            return await _invoker.SendAsync(request, cancellation);
        }
        finally
        {
            _slots.Release();
        }
    }

    /// <summary>Returns once the app accepts TCP connections.</summary>
    public async Task WaitUntilListeningAsync(CancellationToken cancellation)
    {
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            using var socket = new TcpClient();
            try
            {
                await socket.ConnectAsync(_options.AppAddress, _options.AppPort!.Value, cancellation);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(ProbePause, _clock, cancellation);
            }
        }
    }

    public void Dispose()
    {
        _invoker.Dispose();
        _slots?.Dispose();
    }
}
