using Dapr.Client;

namespace Mesh.Testing;

/// <summary>A sidecar that answers on two ports of this machine, whatever it runs in.</summary>
public abstract class RunningSidecar : IAsyncDisposable
{
    private HttpClient? _http;
    private DaprClient? _dapr;

    public abstract string AppId { get; }

    public abstract int HttpPort { get; }

    public abstract int GrpcPort { get; }

    public string HttpEndpoint => $"http://127.0.0.1:{HttpPort}";

    public string GrpcEndpoint => $"http://127.0.0.1:{GrpcPort}";

    /// <summary>Plain HTTP against the sidecar; paths are relative, e.g. <c>v1.0/state/store</c>.</summary>
    public HttpClient Http => _http ??= new HttpClient { BaseAddress = new Uri(HttpEndpoint + "/") };

    /// <summary>The official SDK against the sidecar.</summary>
    public DaprClient Dapr => _dapr ??= CreateClient();

    public DaprClient CreateClient(string? apiToken = null)
    {
        DaprClientBuilder builder = new DaprClientBuilder().UseHttpEndpoint(HttpEndpoint).UseGrpcEndpoint(GrpcEndpoint);
        return (apiToken is null ? builder : builder.UseDaprApiToken(apiToken)).Build();
    }

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        _dapr?.Dispose();
        await StopAsync();
        GC.SuppressFinalize(this);
    }

    protected abstract ValueTask StopAsync();
}
