using System.Text;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Sidecar.Runtime;
using Mesh.Testing;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.Ranker.Tests;

/// <summary>Over real sidecars and the components of components/local.</summary>
public sealed class ModelTopicTests
{
    [Fact]
    public async Task A_change_that_is_published_once_reaches_every_replica()
    {
        using var folder = new TempFolder();
        foreach (string file in new[] { "pubsub.yaml", "deltas.yaml" })
        {
            File.Copy(Path.Combine(DiskPackageTests.RepositoryRoot(), "components", "local", file), folder.In(file));
        }

        await using var shared = new SharedRuntime();
        using RankerApp first = Replica(), second = Replica();
        await using EmbeddedSidecar one = await EmbeddedSidecar.StartAsync(AppIds.Ranker, folder.Path, PortOf(first), shared);
        await using EmbeddedSidecar two = await EmbeddedSidecar.StartAsync(AppIds.Ranker, folder.Path, PortOf(second), shared);
        await using EmbeddedSidecar gateway = await EmbeddedSidecar.StartAsync(AppIds.Gateway, folder.Path, shared: shared);

        var change = new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = ScoreRequests.NowMs, Version = "m-2", Path = "next" };
        using var body = new StringContent(ProtobufJson.Format(change), Encoding.UTF8, "application/json");
        using HttpResponseMessage published = await gateway.Http.PostAsync($"v1.0/publish/{Components.PubSub}/{Topics.Models}", body);

        Assert.True(published.IsSuccessStatusCode, await published.Content.ReadAsStringAsync());
        foreach (RankerApp replica in new[] { first, second })
        {
            await Eventually.EqualAsync("m-2", async () => (await replica.StatusAsync()).ModelVersion, "the live model of a replica");
        }
    }

    private static RankerApp Replica()
    {
        FakeModelStore store = FakeModelStore.With(new FakeModel("m-1"));
        store.Add("next", new FakeModel("m-2"));
        var replica = new RankerApp(store: store);
        replica.UseKestrel(0);
        replica.StartServer();
        return replica;
    }

    private static int PortOf(RankerApp replica) =>
        new Uri(replica.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Port;
}
