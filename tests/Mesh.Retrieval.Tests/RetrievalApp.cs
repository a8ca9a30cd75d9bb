using System.Net.Http.Headers;
using Google.Protobuf;
using Mesh.Hosting;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;
using Mesh.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.Retrieval.Tests;

/// <summary>
/// The whole service in process, with index-updater and the snapshot files in memory. RetrievalOptions names the assembly:
/// Program is ambiguous beside the sidecar that Mesh.Testing brings.
/// </summary>
internal sealed class RetrievalApp(FakeLog log, params (string Key, string Value)[] settings) : WebApplicationFactory<RetrievalOptions>
{
    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseSetting("Retrieval:ProbeIntervalMs", "50").UseSetting("Retrieval:BackoffMaxMs", "50");
        builder.UseSetting("Retrieval:RetrieveTimeoutMs", "5000"); // a busy test machine must not make sources late
        foreach ((string key, string value) in settings) builder.UseSetting(key, value);
        builder.ConfigureAppConfiguration(configuration => configuration.Add(Settings));
        builder.ConfigureTestServices(services => services.AddSingleton<IDeltaFeed>(log).AddSingleton<ISnapshotBlobs>(log.Blobs));
    }

    /// <summary>What a test changes while the service runs.</summary>
    public ReloadableSettings Settings { get; } = new([]);

    public IndexHolder Holder => Services.GetRequiredService<IndexHolder>();

    public LiveIndex Index => Holder.Current ?? throw new InvalidOperationException("No index is in use yet.");

    public async Task<HttpClient> ReadyClientAsync()
    {
        HttpClient client = CreateClient();
        using var limit = new CancellationTokenSource(15_000);
        while (!(await client.GetAsync("/readyz", limit.Token)).IsSuccessStatusCode) await Task.Delay(5, limit.Token);
        return client;
    }
}

internal static class ProtobufClient
{
    public static async Task<HttpResponseMessage> PostAsync(this HttpClient client, string path, IMessage message)
    {
        using var content = new ByteArrayContent(message.ToByteArray());
        content.Headers.ContentType = new MediaTypeHeaderValue(ProtobufBody.ContentType);
        return await client.PostAsync(path, content);
    }

    public static async Task<T> ReadAsync<T>(this HttpResponseMessage response) where T : IMessage<T>, new()
    {
        Assert.True(response.IsSuccessStatusCode, $"{response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
        return new MessageParser<T>(() => new T()).ParseFrom(await response.Content.ReadAsByteArrayAsync());
    }
}
