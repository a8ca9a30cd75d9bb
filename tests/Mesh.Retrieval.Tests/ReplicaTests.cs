using System.Net;
using System.Net.Http.Json;
using Mesh.Contracts;

namespace Mesh.Retrieval.Tests;

/// <summary>Several replicas on one log.</summary>
public sealed class ReplicaTests
{
    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public async Task Replicas_killed_at_any_moment_end_with_the_rows_and_versions_of_the_log(int seed)
    {
        var random = new Random(seed);
        var log = new FakeLog { ModelVersion = "one" };
        FollowerRig[] replicas = [await StartAsync(log), await StartAsync(log), await StartAsync(log)];
        List<IndexDelta> deltas = IndexModel.RandomDeltas(seed, 6_000, items: 150);
        try
        {
            ulong sequence = 0;
            for (int at = 0; at < deltas.Count;)
            {
                IndexDelta[] batch = [.. deltas.Skip(at).Take(1 + random.Next(40)).Select(delta => Renumbered(delta, ++sequence))];
                at += batch.Length;
                log.Append(batch); // stored first, published last
                foreach (FollowerRig replica in replicas)
                {
                    // Lost, doubled, or as it should be.
                    for (int times = random.Next(4); times > 0; times -= 2) await replica.DeliverAsync(batch);
                }

                if (random.Next(40) == 0) sequence = (await log.SnapshotAsync()).Sequence;
                if (random.Next(20) != 0) continue;

                // Killed: all it had was in memory. A new one begins with the newest snapshot, and deliveries to the old one are lost.
                int victim = random.Next(replicas.Length);
                FollowerRig dead = replicas[victim];
                replicas[victim] = await StartAsync(log);
                await dead.DisposeAsync();
            }

            foreach (FollowerRig replica in replicas)
            {
                await replica.CaughtUpAsync();
                log.Model.AssertSame(replica.Current);
            }
        }
        finally
        {
            foreach (FollowerRig replica in replicas) await replica.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_replica_that_lags_longer_than_allowed_leaves_readiness_by_http_and_comes_back_when_it_has_caught_up()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("a"))]);
        await using var app = new RetrievalApp(log, ("Retrieval:LagMaxSeconds", "1"));
        HttpClient client = await app.ReadyClientAsync();

        // The log cannot be asked, and the topic tells of deltas whose predecessors never came.
        log.IsDown = true;
        log.Append([Make.Upsert(2, Make.Row("b")), Make.Upsert(3, Make.Row("c"))]);
        await client.PostAsJsonAsync("/topics/index-deltas", EndpointTests.Bulk(Make.Batch([Make.Upsert(3, Make.Row("c"))])));
        HttpResponseMessage stale = await UntilAsync(client, HttpStatusCode.ServiceUnavailable);
        HttpResponseMessage alive = await client.GetAsync("/healthz");
        HttpResponseMessage served = await client.PostAsync("/retrieve", Make.Request(null, ("trending", 1)));
        RetrievalStatus status = await (await client.GetAsync("/status")).ReadAsync<RetrievalStatus>();
        log.IsDown = false;
        await UntilAsync(client, HttpStatusCode.OK);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, stale.StatusCode);
        Assert.False(status.Ready);
        Assert.Equal((1ul, 3ul), (status.Sequence, status.HeadSequence));
        Assert.Equal(HttpStatusCode.OK, alive.StatusCode); // it is not to be killed for it
        Assert.Equal(HttpStatusCode.OK, served.StatusCode); // and answers who asks nevertheless
        Assert.Equal(3, app.Index.Items);
    }

    private static Task<FollowerRig> StartAsync(FakeLog log) => new FollowerRig(log).StartAsync();

    private static IndexDelta Renumbered(IndexDelta delta, ulong sequence)
    {
        delta.Sequence = sequence;
        if (delta.DeltaCase == IndexDelta.DeltaOneofCase.Upserted) delta.Upserted.Version = sequence;
        return delta;
    }

    private static async Task<HttpResponseMessage> UntilAsync(HttpClient client, HttpStatusCode status)
    {
        HttpResponseMessage answer = await client.GetAsync("/readyz");
        using var limit = new CancellationTokenSource(15_000);
        while (answer.StatusCode != status && !limit.IsCancellationRequested)
        {
            await Task.Delay(10);
            answer = await client.GetAsync("/readyz");
        }

        Assert.Equal(status, answer.StatusCode);
        return answer;
    }
}
