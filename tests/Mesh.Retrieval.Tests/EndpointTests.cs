using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Hosting;
using Mesh.Retrieval.Requests;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.Retrieval.Tests;

public sealed class EndpointTests
{
    private static readonly (string, uint)[] AllSources = [("in-network", 10), ("two-tower", 10), ("semantic-id", 10), ("trending", 10)];

    [Fact]
    public async Task Retrieve_answers_from_snapshot_and_replayed_deltas_with_every_source_reported()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("seen", codes: [1, 1, 1])), Make.Upsert(2, Make.Row("near", codes: [1, 1, 1]))]);
        await log.SnapshotAsync();
        log.Append([Make.Upsert(4, Make.Row("followed", "friend", [0, 1, 0, 0]))]);
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();
        RetrieveRequest request = Make.Request(Make.Sequence(("seen", "like", Make.Now)), AllSources);
        request.Follows.Add("friend");
        request.Exclude.Add(ItemHash.Compute("seen"));

        RetrieveResponse response = await (await client.PostAsync("/retrieve", request)).ReadAsync<RetrieveResponse>();

        Assert.Equal("version-1", response.IndexVersion);
        Assert.Equal(4ul, response.Sequence);
        Assert.Equal("model-1", response.ModelVersion);
        Assert.Equal(12, response.CounterHalfLifeHours);
        Assert.Equal(["in-network", "two-tower", "semantic-id", "trending"], response.Sources.Select(report => report.Name));
        Assert.All(response.Sources, report => Assert.Equal("", report.Error));
        Assert.Equal(["followed", "near"], response.Candidates.Select(candidate => candidate.ItemId).Order());
        Candidate near = response.Candidates.Single(candidate => candidate.ItemId == "near");
        Assert.Equal(["two-tower", "semantic-id", "trending"], near.Sources);
        Assert.Equal(1, near.Similarity, 1e-5);
        Assert.True(response.Candidates.Single(candidate => candidate.ItemId == "followed").InNetwork);
        Assert.Equal("seen", Assert.Single(response.History).ItemId);
    }

    [Fact]
    public async Task A_bad_request_is_answered_with_every_fault_at_once()
    {
        await using var app = new RetrievalApp(new FakeLog());
        HttpClient client = await app.ReadyClientAsync();
        var request = new RetrieveRequest
        {
            UserId = "not an id",
            NowMs = -1,
            Sequence = new Sequence { ItemIds = { "a" } },
            Sources = { new SourceRequest { Name = "magic", Limit = 0 }, new SourceRequest { Name = "trending", Limit = 10_001 } },
            Filter = "tag:a AND",
        };
        request.Exclude.AddRange(Enumerable.Range(0, 20_001).Select(i => (uint)i));
        request.Follows.AddRange(Enumerable.Range(0, 10_001).Select(i => $"author-{i}"));

        HttpResponseMessage response = await client.PostAsync("/retrieve", request);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        JsonElement errors = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("errors");
        Assert.Equal(
            ["exclude", "filter", "follows", "now_ms", "sequence.actions", "sequence.times_ms", "sources[0].limit", "sources[0].name", "sources[1].limit", "user_id"],
            errors.EnumerateObject().Select(error => error.Name).Order(StringComparer.Ordinal));
        Assert.Contains("position 9", errors.GetProperty("filter")[0].GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sequence_longer_than_the_limit_is_refused()
    {
        await using var app = new RetrievalApp(new FakeLog());
        HttpClient client = await app.ReadyClientAsync();
        Sequence sequence = Make.Sequence([.. Enumerable.Range(0, 4_097).Select(i => ($"item-{i}", "like", Make.Now))]);

        HttpResponseMessage response = await client.PostAsync("/retrieve", Make.Request(sequence, ("trending", 1)));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("4097 events", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_is_not_the_message_is_a_400_and_another_content_type_a_415()
    {
        await using var app = new RetrievalApp(new FakeLog());
        HttpClient client = await app.ReadyClientAsync();
        using var garbage = new ByteArrayContent([0xFF, 0xFF, 0xFF]);
        garbage.Headers.ContentType = new(ProtobufBody.ContentType);

        Assert.Equal(HttpStatusCode.BadRequest, (await client.PostAsync("/retrieve", garbage)).StatusCode);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await client.PostAsync("/retrieve", new StringContent("{}"))).StatusCode);
    }

    [Fact]
    public async Task Similar_gives_the_closest_without_the_item_itself_and_404_with_a_reason_where_it_is_unknown()
    {
        var log = new FakeLog();
        log.Append(
        [
            Make.Upsert(1, Make.Row("a", vector: [1, 0, 0, 0])), Make.Upsert(2, Make.Row("b", vector: [0.9f, 0.1f, 0, 0])),
            Make.Upsert(3, Make.Row("c", vector: [0, 1, 0, 0])), Make.Upsert(4, Make.Row("hidden", eligibility: new Eligibility { Hidden = true })),
        ]);
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();

        SimilarResponse similar = await (await client.PostAsync("/similar", new SimilarRequest { ItemId = "a", Limit = 5 })).ReadAsync<SimilarResponse>();
        HttpResponseMessage unknown = await client.PostAsync("/similar", new SimilarRequest { ItemId = "zzz", Limit = 5 });
        HttpResponseMessage bad = await client.PostAsync("/similar", new SimilarRequest { ItemId = "a b" });
        HttpResponseMessage elsewhere = await client.PostAsync("/similar", new SimilarRequest { ItemId = "zzz", Limit = 5, Embedding = Make.Bytes([0, 1, 0, 0]) });
        HttpResponseMessage ofAnotherModel = await client.PostAsync("/similar", new SimilarRequest { ItemId = "zzz", Limit = 5, Embedding = Make.Bytes([0, 1, 0, 0]), ModelVersion = "other" });
        HttpResponseMessage notANumber = await client.PostAsync("/similar", new SimilarRequest { ItemId = "zzz", Limit = 5, Embedding = Make.Bytes([float.NaN, 1, 0, 0]) });
        HttpResponseMessage cutOff = await client.PostAsync("/similar", new SimilarRequest { ItemId = "zzz", Limit = 5, Embedding = Google.Protobuf.ByteString.CopyFrom(1, 2, 3) });

        Assert.Equal(["b", "c"], similar.Candidates.Select(candidate => candidate.ItemId));
        Assert.Equal("live", similar.IndexVersion);
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        Assert.Contains("zzz is not in the index", await unknown.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(["c", "b", "a"], (await elsewhere.ReadAsync<SimilarResponse>()).Candidates.Select(candidate => candidate.ItemId));
        Assert.Equal(HttpStatusCode.Conflict, ofAnotherModel.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, notANumber.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, cutOff.StatusCode);
        Assert.Equal(["item_id", "limit"], (await bad.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("errors").EnumerateObject().Select(e => e.Name).Order());
    }

    [Fact]
    public async Task Items_are_looked_up_in_order_each_once_with_text_only_where_asked()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("a", text: "hello")), Make.Upsert(2, Make.Row("b", eligibility: new Eligibility { Hidden = true }))]);
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();

        var request = new ItemLookupRequest { ItemIds = { "b", "unknown", "a", "b" } };
        ItemLookupResponse bare = await (await client.PostAsync("/items", request)).ReadAsync<ItemLookupResponse>();
        request.IncludeText = true;
        ItemLookupResponse full = await (await client.PostAsync("/items", request)).ReadAsync<ItemLookupResponse>();
        var tooMany = new ItemLookupRequest();
        tooMany.ItemIds.AddRange(Enumerable.Range(0, 1_001).Select(i => $"item-{i}"));

        Assert.Equal(["b", "a"], bare.Candidates.Select(candidate => candidate.ItemId));
        Assert.True(bare.Candidates[0].Eligibility.Hidden);
        Assert.Equal("", bare.Candidates[1].Text);
        Assert.Equal("hello", full.Candidates[1].Text);
        Assert.Equal(HttpStatusCode.BadRequest, (await client.PostAsync("/items", tooMany)).StatusCode);
    }

    [Fact]
    public async Task History_gives_codes_in_the_order_asked_for_each_item_once_with_the_versions_they_are_of()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("a", "ann", codes: [1, 2, 3], tags: ["t"])), Make.Upsert(2, Make.Row("b", codes: [4, 5, 6]))]);
        await log.SnapshotAsync();
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();
        var tooMany = new HistoryRequest();
        tooMany.ItemIds.AddRange(Enumerable.Range(0, 4_097).Select(i => i == 7 ? "not an id" : $"item-{i}"));

        HistoryResponse history = await (await client.PostAsync("/history", new HistoryRequest { ItemIds = { "b", "unknown", "a", "b" } })).ReadAsync<HistoryResponse>();
        HttpResponseMessage refused = await client.PostAsync("/history", tooMany);

        Assert.Equal(["b", "a"], history.History.Select(item => item.ItemId));
        Assert.Equal([1u, 2u, 3u], history.History[1].Codes);
        Assert.Equal(("ann", "t", 0f), (history.History[1].AuthorId, history.History[1].Tags.Single(), history.History[1].Similarity));
        Assert.Equal(("version-1", "model-1"), (history.IndexVersion, history.ModelVersion));
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        string[] faults = [.. (await refused.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("errors").GetProperty("item_ids").EnumerateArray().Select(fault => fault.GetString()!)];
        Assert.Equal(2, faults.Length);
    }

    [Fact]
    public async Task A_history_from_other_shards_is_checked_before_it_is_used()
    {
        await using var app = new RetrievalApp(new FakeLog());
        HttpClient client = await app.ReadyClientAsync();
        RetrieveRequest tooMany = Make.Request(null, ("trending", 1)), notANumber = tooMany.Clone(), cutOff = tooMany.Clone(), otherSize = tooMany.Clone();
        tooMany.History.AddRange(Enumerable.Range(0, 4_097).Select(i => new HistoryItem { ItemId = $"i{i}" }));
        notANumber.History.Add([new HistoryItem { ItemId = "a" }, new HistoryItem { ItemId = "b", Embedding = Make.Bytes([float.PositiveInfinity, 0, 0, 0]) }]);
        cutOff.History.Add(new HistoryItem { ItemId = "a", Embedding = Google.Protobuf.ByteString.CopyFrom(1, 2, 3) });
        otherSize.Sequence = Make.Sequence(("a", "like", Make.Now));
        otherSize.History.Add(new HistoryItem { ItemId = "a", Embedding = Make.Bytes([1, 0]) });

        foreach ((RetrieveRequest request, string fault) in new[] { (tooMany, "holds 4097 items; at most 4096"), (notANumber, "entry 1 has an embedding"), (cutOff, "entry 0 has an embedding") })
        {
            HttpResponseMessage refused = await client.PostAsync("/retrieve", request);
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
            Assert.Contains(fault, await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        Assert.Equal("", (await (await client.PostAsync("/retrieve", otherSize)).ReadAsync<RetrieveResponse>()).Sources.Single().Error);
    }

    [Fact]
    public async Task Settings_that_become_invalid_while_the_service_runs_change_nothing_and_throw_at_nobody()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("a"))]);
        await using var app = new RetrievalApp(log, ("Retrieval:ItemsMax", "5"));
        HttpClient client = await app.ReadyClientAsync();

        app.Settings.Change(("Retrieval:ItemsMax", "0"), ("Retrieval:BloomBits", "many"), ("Inference:Provider", ""), ("Models:Default", "../elsewhere"));
        log.Append([Make.Upsert(2, Make.Row("b"))]);
        await Eventually.True(() => app.Index.Items == 2, "deltas go on");

        RetrieveResponse response = await (await client.PostAsync("/retrieve", Make.Request(null, ("trending", 5)))).ReadAsync<RetrieveResponse>();
        Assert.Equal(2, response.Candidates.Count);
        Assert.Equal(5, app.Services.GetRequiredService<Microsoft.Extensions.Options.IOptionsMonitor<RetrievalOptions>>().CurrentValue.ItemsMax);
    }

    [Fact]
    public async Task Not_ready_and_503_until_index_updater_answers_then_ready()
    {
        var log = new FakeLog { IsDown = true };
        await using var app = new RetrievalApp(log);
        HttpClient client = app.CreateClient();
        await Eventually.True(() => log.SnapshotCalls >= 2, "the service tries again");

        HttpResponseMessage ready = await client.GetAsync("/readyz");
        HttpResponseMessage early = await client.PostAsync("/retrieve", Make.Request(null, ("trending", 1)));
        log.IsDown = false;
        await app.ReadyClientAsync();
        HttpResponseMessage later = await client.PostAsync("/retrieve", Make.Request(null, ("trending", 1)));

        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, early.StatusCode);
        Assert.Equal("1", early.Headers.RetryAfter?.ToString());
        Assert.Equal(HttpStatusCode.OK, later.StatusCode);
    }

    [Fact]
    public async Task A_delta_delivered_on_the_topic_is_retrievable_and_shows_in_the_status()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("old"))]);
        await using var app = new RetrievalApp(log, ("Retrieval:ProbeIntervalMs", "600000"));
        HttpClient client = await app.ReadyClientAsync();
        IndexDelta delta = Make.Upsert(2, Make.Row("new"));
        delta.EventTimeMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() - 40;

        HttpResponseMessage delivered = await client.PostAsJsonAsync("/topics/index-deltas", Bulk(Make.Batch([delta]), Make.Batch([Make.Delete(9, "x"), Make.Delete(11, "y")])));
        RetrievalStatus status = new();
        for (int i = 0; i < 1_000 && status.Sequence < 2; i++) status = await (await client.GetAsync("/status")).ReadAsync<RetrievalStatus>();

        Assert.Equal(
            ["SUCCESS", "DROP"],
            (await delivered.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("statuses").EnumerateArray().Select(entry => entry.GetProperty("status").GetString()));
        Assert.Equal(2ul, status.Sequence);
        Assert.Equal(2, status.Items);
        Assert.True(status.Ready);
        Assert.True(status.IndexBytes > 0);
        Assert.InRange(status.LastDeltaLagMs, 40, 15_000);
        Assert.Single((await (await client.PostAsync("/items", new ItemLookupRequest { ItemIds = { "new" } })).ReadAsync<ItemLookupResponse>()).Candidates);
    }

    [Fact]
    public async Task The_subscription_names_the_delta_component_so_that_every_replica_gets_every_delta()
    {
        await using var app = new RetrievalApp(new FakeLog());

        JsonElement subscriptions = await app.CreateClient().GetFromJsonAsync<JsonElement>("/dapr/subscribe");

        JsonElement subscription = Assert.Single(subscriptions.EnumerateArray());
        Assert.Equal(Components.DeltaPubSub, subscription.GetProperty("pubsubName").GetString());
        Assert.Equal(Topics.IndexDeltas, subscription.GetProperty("topic").GetString());
        Assert.True(subscription.GetProperty("bulkSubscribe").GetProperty("enabled").GetBoolean());
    }

    [Fact]
    public async Task A_call_past_the_concurrency_limit_is_turned_away_with_retry_after()
    {
        await using var app = new RetrievalApp(new FakeLog(), ("Retrieval:ConcurrentRequestsMax", "1"));
        HttpClient client = await app.ReadyClientAsync();
        AdmissionGate gate = app.Services.GetRequiredService<AdmissionGate>();

        Assert.True(gate.TryEnter());
        HttpResponseMessage refused = await client.PostAsync("/retrieve", Make.Request(null, ("trending", 1)));
        gate.Exit();
        HttpResponseMessage served = await client.PostAsync("/retrieve", Make.Request(null, ("trending", 1)));

        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal("1", refused.Headers.RetryAfter?.ToString());
        Assert.Equal("application/problem+json", refused.Content.Headers.ContentType?.MediaType);
        Assert.Contains("1 retrieve calls are running already", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
    }

    [Fact]
    public async Task The_digest_is_of_the_rows_whatever_order_and_slots_they_came_in()
    {
        var log = new FakeLog { ModelVersion = "one" };
        log.Append([Make.Upsert(1, Make.Row("a")), Make.Upsert(2, Make.Row("b")), Make.Upsert(3, Make.Row("gone")), Make.Delete(4, "gone"), Make.Engage(5, "a", likes: 3)]);
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();

        RowsDigest digest = await (await client.GetAsync("/digest")).ReadAsync<RowsDigest>();

        var expected = new RowSetDigest();
        expected.Add("b", 2);
        expected.Add("a", 5);
        Assert.Equal((5ul, 2, expected.Value), (digest.Sequence, digest.Items, digest.Digest));
    }

    [Fact]
    public void Options_that_contradict_each_other_stop_the_start_with_all_faults()
    {
        using var app = new RetrievalApp(new FakeLog(), ("Retrieval:InNetworkPerAuthorMax", "300"), ("Retrieval:ResponseReserveMs", "900"), ("Retrieval:RetrieveTimeoutMs", "100"),
            ("Retrieval:BeamLooksMax", "4095"), ("Retrieval:InNetworkScanMax", "150"), ("Retrieval:ClustersMax", "16"));

        Exception exception = Assert.ThrowsAny<Exception>(app.CreateClient);

        Assert.Contains("InNetworkPerAuthorMax 300", exception.ToString(), StringComparison.Ordinal);
        Assert.Contains("ResponseReserveMs 900", exception.ToString(), StringComparison.Ordinal);
        Assert.Contains("InNetworkPerAuthorMax 300 is over InNetworkPerAuthorScanMax 200", exception.ToString(), StringComparison.Ordinal);
        Assert.Contains("InNetworkPerAuthorScanMax 200 is over InNetworkScanMax 150", exception.ToString(), StringComparison.Ordinal);
        Assert.Contains("PrefixScanMax 4096 is over BeamLooksMax 4095", exception.ToString(), StringComparison.Ordinal);
        Assert.Contains("ProbesMin 32 is over ClustersMax 16", exception.ToString(), StringComparison.Ordinal);
    }

    /// <summary>A delivery of the delta topic as the sidecar makes it.</summary>
    internal static object Bulk(params IndexDeltaBatch[] batches) => new
    {
        id = "bulk",
        topic = Topics.IndexDeltas,
        pubsubname = Components.DeltaPubSub,
        entries = batches.Select((batch, i) => new
        {
            entryId = $"entry-{i}",
            contentType = "application/cloudevents+json",
            @event = new { specversion = "1.0", id = $"event-{i}", type = "t", source = "s", data = JsonDocument.Parse(ProtobufJson.Format(batch)).RootElement },
        }),
    };
}
