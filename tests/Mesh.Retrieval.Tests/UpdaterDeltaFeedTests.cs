using System.Collections.Concurrent;
using Dapr.Client;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Retrieval.Deltas;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Mesh.Retrieval.Tests;

/// <summary>What the real feed puts on the wire, with a small server in the sidecar's place.</summary>
public sealed class UpdaterDeltaFeedTests
{
    [Fact]
    public async Task Deltas_and_manifests_are_asked_of_index_updater_by_shard_with_a_budget()
    {
        await using Server server = await Server.StartAsync(path => new ProtobufResult(
            path.Contains("deltas", StringComparison.Ordinal) ? WithShards(Make.Batch([Make.Delete(8, "x")], head: 9), 4) : new SnapshotManifest { Version = "v", Sequence = 4 }));

        IndexDeltaBatch batch = await server.Feed.GetDeltasAsync(7, 250, CancellationToken.None);
        SnapshotManifest? manifest = await server.Feed.GetLatestSnapshotAsync(CancellationToken.None);

        Assert.Equal(9ul, batch.HeadSequence);
        Assert.Equal("x", Assert.Single(batch.Deltas).DeletedItemId);
        Assert.Equal("v", manifest?.Version);
        Assert.Equal(4u, server.State.Shards);
        Assert.Equal(
            ["/v1.0/invoke/index-updater/method/deltas?shard=3&after=7&max=250 15000", "/v1.0/invoke/index-updater/method/snapshots/latest?shard=3 15000"],
            server.Requests);
    }

    [Fact]
    public async Task No_snapshot_yet_is_null_and_any_other_failure_is_trouble_with_the_feed()
    {
        await using Server none = await Server.StartAsync(_ => Results.Problem(statusCode: 404));
        await using Server broken = await Server.StartAsync(_ => Results.Problem("the store is down", statusCode: 500));
        await using Server garbled = await Server.StartAsync(_ => Results.Bytes([0xFF, 0xFF], ProtobufBody.ContentType));

        Assert.Null(await none.Feed.GetLatestSnapshotAsync(CancellationToken.None));
        await Assert.ThrowsAsync<FeedException>(() => none.Feed.GetDeltasAsync(0, 1, CancellationToken.None));
        FeedException trouble = await Assert.ThrowsAsync<FeedException>(() => broken.Feed.GetLatestSnapshotAsync(CancellationToken.None));
        Assert.Contains("500", trouble.Message, StringComparison.Ordinal);
        Assert.Contains("500", broken.State.NotReadyReason(null, new RetrievalOptions()), StringComparison.Ordinal);
        await Assert.ThrowsAsync<FeedException>(() => garbled.Feed.GetDeltasAsync(0, 1, CancellationToken.None));
    }

    [Fact]
    public async Task A_silent_updater_is_given_up_after_the_budget_and_a_leaving_caller_at_once()
    {
        await using Server silent = await Server.StartAsync(async (_, gone) => await Task.Delay(Timeout.Infinite, gone), budgetMs: 400);
        using var leaving = new CancellationTokenSource(50);

        await Assert.ThrowsAsync<FeedException>(() => silent.Feed.GetDeltasAsync(0, 1, CancellationToken.None));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => silent.Feed.GetDeltasAsync(0, 1, leaving.Token));
    }

    private static IndexDeltaBatch WithShards(IndexDeltaBatch batch, uint shards)
    {
        batch.Shards = shards;
        return batch;
    }

    private sealed class Server : IAsyncDisposable
    {
        private readonly WebApplication _app;
        private readonly DaprClient _dapr;
        private readonly ServiceInvoker _invoker;

        private Server(WebApplication app, int budgetMs)
        {
            _app = app;
            _dapr = new DaprClientBuilder().UseHttpEndpoint(app.Urls.First()).Build();
            _invoker = new ServiceInvoker(_dapr);
            var options = new RetrievalOptions { Shard = 3, FeedTimeoutMs = budgetMs };
            Feed = new UpdaterDeltaFeed(_invoker, State, Microsoft.Extensions.Options.Options.Create(options));
        }

        public UpdaterDeltaFeed Feed { get; }

        public FollowerState State { get; } = new(TimeProvider.System);

        public ConcurrentQueue<string> Requests { get; } = new();

        public static Task<Server> StartAsync(Func<string, IResult> answer) =>
            StartAsync((context, _) => answer(context.Request.Path).ExecuteAsync(context));

        public static async Task<Server> StartAsync(Func<HttpContext, CancellationToken, Task> answer, int budgetMs = 15_000)
        {
            WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            WebApplication app = builder.Build();
            Server? server = null;
            app.Run(context =>
            {
                server!.Requests.Enqueue($"{context.Request.Path}{context.Request.QueryString} {context.Request.Headers[Deadline.Header]}");
                return answer(context, context.RequestAborted);
            });
            await app.StartAsync();
            return server = new Server(app, budgetMs);
        }

        public async ValueTask DisposeAsync()
        {
            _invoker.Dispose();
            _dapr.Dispose();
            await _app.DisposeAsync();
        }
    }
}
