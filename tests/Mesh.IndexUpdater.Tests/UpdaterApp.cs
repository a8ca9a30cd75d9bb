using System.Net;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.Hosting;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Shards;
using Mesh.IndexUpdater.Writing;
using Mesh.Snapshots;
using Mesh.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.IndexUpdater.Tests;

/// <summary>The service over an in-memory server and the fakes of a shard; the actor is replaced by its writer, called directly.</summary>
internal sealed class UpdaterApp : WebApplicationFactory<IndexUpdaterOptions>
{
    public MemoryShardState State { get; } = new();

    public MemoryPublisher Publisher { get; } = new();

    public MemoryBlobs Blobs { get; } = new();

    /// <summary>Delivers messages of a topic in bulk, as a sidecar does, and returns each entry's status.</summary>
    public async Task<string[]> DeliverAsync(string topic, params IMessage[] messages)
    {
        string entries = string.Join(',', messages.Select((message, i) => $$$"""{"entryId":"{{{i}}}","event":{"specversion":"1.0","data":{{{ProtobufJson.Format(message)}}}}}"""));
        using HttpClient client = CreateClient();
        using var body = new StringContent($$"""{"id":"d","entries":[{{entries}}]}""", Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await client.PostAsync($"topics/{topic}", body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        using JsonDocument answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        return [.. answer.RootElement.GetProperty("statuses").EnumerateArray()
            .OrderBy(status => int.Parse(status.GetProperty("entryId").GetString()!, System.Globalization.CultureInfo.InvariantCulture))
            .Select(status => status.GetProperty("status").GetString()!)];
    }

    public async Task<(HttpStatusCode Status, byte[] Body)> SendAsync(HttpMethod method, string path)
    {
        using HttpClient client = CreateClient();
        using var request = new HttpRequestMessage(method, path);
        using HttpResponseMessage response = await client.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsByteArrayAsync());
    }

    public async Task<T> SendAsync<T>(HttpMethod method, string path) where T : IMessage<T>, new()
    {
        (HttpStatusCode status, byte[] body) = await SendAsync(method, path);
        Assert.True(status == HttpStatusCode.OK, $"{path} answered {status}: {System.Text.Encoding.UTF8.GetString(body)}");
        return new MessageParser<T>(() => new T()).ParseFrom(body);
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder) => builder.ConfigureTestServices(services =>
    {
        services.AddSingleton<IShardState>(State);
        services.AddSingleton<IDeltaPublisher>(Publisher);
        services.AddSingleton<ISnapshotBlobs>(Blobs);
        services.AddSingleton<IShardClient, DirectShards>();
    });

    private sealed class DirectShards(ShardWriterFactory writers) : IShardClient
    {
        private readonly ShardWriter _writer = writers.Create(0);

        public Task AppendItemsAsync(uint shard, ItemChanges changes, CancellationToken cancellation) => _writer.AppendItemsAsync(changes, cancellation);

        public Task AppendCountsAsync(uint shard, CounterEvents events, CancellationToken cancellation) => _writer.AppendCountsAsync(events, cancellation);

        public Task AppendEligibilityAsync(uint shard, EligibilityChanges changes, CancellationToken cancellation) => _writer.AppendEligibilityAsync(changes, cancellation);

        public Task<string> BeginSnapshotAsync(uint shard, bool refit, CancellationToken cancellation) => _writer.BeginSnapshotAsync(refit, cancellation);

        public Task ChangeModelAsync(uint shard, ModelChange change, CancellationToken cancellation) => _writer.ChangeModelAsync(change, cancellation);

        public Task<ItemRow?> FindAsync(uint shard, string itemId, CancellationToken cancellation) => _writer.FindAsync(itemId, cancellation);

        public Task<RowsDigest> DigestAsync(uint shard, CancellationToken cancellation) => _writer.DigestAsync(cancellation);
    }
}
