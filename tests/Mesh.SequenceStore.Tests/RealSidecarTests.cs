using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Dapr.Client;
using Mesh.Contracts;
using Mesh.Hosting;

namespace Mesh.SequenceStore.Tests;

/// <summary>The built service behind the real sidecar: SQLite state, actor placement and turns, invocation.</summary>
public sealed class RealSidecarTests
{
    // Characters that an id may have and a URL, an actor id and a state key all have to carry.
    private const string OddUser = "cy:c@x~=1";

    [Fact]
    public async Task Deliveries_at_once_and_a_kill_leave_every_acknowledged_event_there_once()
    {
        await using ServiceProcess service = await ServiceProcess.StartAsync();
        string[] users = ["ann", "bob", OddUser];
        Engagement[] events = [.. Enumerable.Range(0, 1_500).Select(i => Engagements.Event(i, Engagements.EpochMs + (i * 7919 % 1_500), users[i % 3]))];
        Engagement[][] batches = [.. events.Chunk(250)];

        // The same users in several deliveries at the same time: only the actor's turns keep them apart.
        string[][] statuses = await Task.WhenAll(batches[..4].Select(service.DeliverAsync));
        await service.KillAndRestartAsync();
        statuses = [.. statuses, .. await Task.WhenAll(batches[2..].Select(service.DeliverAsync))];

        Assert.All(statuses.SelectMany(status => status), status => Assert.Equal("SUCCESS", status));
        foreach (string user in users)
        {
            List<Engagement> model = Engagements.Model(events.Where(e => e.UserId == user));
            var history = await service.GetAsync<UserHistory>($"users/{user}/history?asOf={Engagements.EpochMs + 5_000}&limit=1000");
            Assert.Equal(model.AsEnumerable().Reverse().Select(Engagements.AsStored), history.Events);
            var context = await service.GetAsync<UserContext>($"users/{user}/context?asOf={Engagements.EpochMs + 700}&maxEvents=100");
            Assert.Equal(model.Where(e => e.TimeMs <= Engagements.EpochMs + 700).TakeLast(100).Select(e => e.ItemId), context.Sequence.ItemIds);
        }
    }

    [Fact]
    public async Task What_the_broker_took_is_stored_once_though_the_service_is_killed_meanwhile()
    {
        await using ServiceProcess service = await ServiceProcess.StartAsync();
        using DaprClient dapr = new DaprClientBuilder().UseHttpEndpoint(service.Sidecar.HttpEndpoint).UseGrpcEndpoint(service.Sidecar.GrpcEndpoint)
            .UseJsonSerializationOptions(new JsonSerializerOptions { Converters = { new ProtobufJsonConverterFactory() } }).Build();
        var publisher = new EventPublisher(dapr);
        Engagement[] events = [.. Enumerable.Range(0, 1_000).Select(i => Engagements.Event(i, Engagements.EpochMs + i, $"user-{i % 5}"))];

        foreach (Engagement[] batch in events.Chunk(200)) Assert.Empty(await publisher.PublishBulkAsync(Components.PubSub, Topics.Engagements, batch, CancellationToken.None));
        await service.KillAndRestartAsync();
        Assert.Empty(await publisher.PublishBulkAsync(Components.PubSub, Topics.Engagements, events[..100], CancellationToken.None));

        long started = Stopwatch.GetTimestamp();
        for (int user = 0; user < 5; user++)
        {
            Engagement[] expected = [.. events.Where(e => e.UserId == $"user-{user}").Reverse()];
            UserHistory history = await service.GetAsync<UserHistory>($"users/user-{user}/history?limit=1000");
            while (history.Events.Count < expected.Length)
            {
                Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(60), $"{history.Events.Count} of {expected.Length} events arrived\n{service.Output}");
                await Task.Delay(50);
                history = await service.GetAsync<UserHistory>($"users/user-{user}/history?limit=1000");
            }

            Assert.Equal(expected.Select(Engagements.AsStored), history.Events);
        }
    }

    [Fact]
    public async Task Training_rows_of_every_acknowledged_request_stream_through_the_sidecar_once_though_the_service_is_killed()
    {
        await using ServiceProcess service = await ServiceProcess.StartAsync();
        RequestLogEntry[] entries = [.. Enumerable.Range(0, 200).Select(i => TrainingExportTests.Request(i, i % 10 == 0 ? OddUser : $"user-{i % 40}", Engagements.EpochMs + i))];
        var acknowledged = new HashSet<string>();

        // New users come to the directory from many actors at the same time; a kill cuts some of them off half-way.
        async Task LogAsync(RequestLogEntry entry)
        {
            using HttpResponseMessage response = await service.InvokeAsync(HttpMethod.Post, "requests", entry);
            lock (acknowledged)
            {
                if (response.StatusCode == HttpStatusCode.NoContent) acknowledged.Add(entry.RequestId);
            }
        }

        Task[] logging = [.. entries[..150].Select(LogAsync)];
        await Task.WhenAny(logging);
        await service.KillAndRestartAsync();
        await Task.WhenAll(logging);
        foreach (RequestLogEntry entry in entries[100..]) await LogAsync(entry);

        string[] rows = await RowsAsync(service, "training");
        var pages = new List<string>();
        for (string[] page = await RowsAsync(service, "training?limit=17"); page.Length > 0; page = await RowsAsync(service, $"training?limit=17&after={TrainingHttpTests.CursorOf(pages[^1])}"))
        {
            pages.AddRange(page);
        }

        string[] ids = [.. rows.Select(ProtobufJson.Parse<TrainingRow>).Select(row => row.RequestId)];
        Assert.Equal(ids.Distinct(), ids);
        Assert.Empty(acknowledged.Except(ids));
        Assert.Superset(entries[100..].Select(entry => entry.RequestId).ToHashSet(), ids.ToHashSet());
        Assert.Equal(rows, pages);
    }

    private static async Task<string[]> RowsAsync(ServiceProcess service, string path)
    {
        using HttpResponseMessage response = await service.InvokeAsync(HttpMethod.Get, path);
        Assert.Equal((HttpStatusCode.OK, JsonLinesResult.ContentType), (response.StatusCode, response.Content.Headers.ContentType?.MediaType));
        return TrainingHttpTests.Lines(await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Profile_request_log_and_erasure_work_through_the_sidecar()
    {
        await using ServiceProcess service = await ServiceProcess.StartAsync();
        var entry = new RequestLogEntry { RequestId = Engagements.EventId(9), UserId = OddUser, TimeMs = Engagements.EpochMs, ModelVersion = "m" };
        await service.DeliverAsync([Engagements.Event(1, Engagements.EpochMs, OddUser)]);

        using HttpResponseMessage followed = await service.InvokeAsync(HttpMethod.Post, $"users/{OddUser}/profile", new ProfileChange { List = ProfileList.Follows, Value = "a" });
        using HttpResponseMessage logged = await service.InvokeAsync(HttpMethod.Post, "requests", entry);
        var before = await service.GetAsync<UserContext>($"users/{OddUser}/context");
        var found = await service.GetAsync<RequestLogEntry>($"requests/{entry.RequestId}");
        using HttpResponseMessage erased = await service.InvokeAsync(HttpMethod.Delete, $"users/{OddUser}");
        var after = await service.GetAsync<UserContext>($"users/{OddUser}/context");
        using HttpResponseMessage gone = await service.InvokeAsync(HttpMethod.Get, $"requests/{entry.RequestId}");

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.NoContent, HttpStatusCode.NoContent), (followed.StatusCode, logged.StatusCode, erased.StatusCode));
        Assert.Equal((1L, "a"), (before.EventsTotal, before.Profile.Follows.Single()));
        Assert.Equal(entry, found);
        Assert.Equal((0L, 0), (after.EventsTotal, after.Profile.Follows.Count));
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
    }
}
