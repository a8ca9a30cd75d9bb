using System.Net;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>State of actors over HTTP.</summary>
public sealed class ActorStateTests
{
    [Fact]
    public async Task A_saved_value_is_read_back_byte_for_byte()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");

        using HttpResponseMessage saved = await sidecar.Http.SaveAsync(
            "Cart/7", """[{"operation":"upsert","request":{"key":"k","value":{"n":12345678901234567890}}}]""");
        using HttpResponseMessage read = await sidecar.Http.GetAsync("v1.0/actors/Cart/7/state/k");

        Assert.Equal(HttpStatusCode.NoContent, saved.StatusCode);
        Assert.Equal(HttpStatusCode.OK, read.StatusCode);
        Assert.Equal("""{"n":12345678901234567890}""", await read.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_key_that_is_not_there_is_204()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");

        using HttpResponseMessage read = await sidecar.Http.GetAsync("v1.0/actors/Cart/7/state/k");

        Assert.Equal(HttpStatusCode.NoContent, read.StatusCode);
    }

    [Fact]
    public async Task A_transaction_deletes_and_upserts_in_one()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");
        await sidecar.Http.SaveAsync("Cart/7", """[{"operation":"upsert","request":{"key":"old","value":1}}]""");

        await sidecar.Http.SaveAsync(
            "Cart/7", """[{"operation":"delete","request":{"key":"old"}},{"operation":"upsert","request":{"key":"new","value":2}}]""");

        using HttpResponseMessage old = await sidecar.Http.GetAsync("v1.0/actors/Cart/7/state/old");
        Assert.Equal(HttpStatusCode.NoContent, old.StatusCode);
        Assert.Equal("2", await sidecar.Http.GetStringAsync("v1.0/actors/Cart/7/state/new"));
    }

    [Theory, InlineData("in-memory"), InlineData("sqlite")]
    public async Task A_transaction_that_fails_writes_nothing(string store)
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync(store == "sqlite" ? SidecarHarness.SqliteState : SidecarHarness.InMemoryState);
        await sidecar.Http.CallAsync("Cart/7");
        await sidecar.Http.SaveAsync("Cart/7", """[{"operation":"upsert","request":{"key":"taken","value":1}}]""");

        using HttpResponseMessage saved = await sidecar.Http.SaveAsync(
            "Cart/7",
            """[{"operation":"upsert","request":{"key":"fresh","value":2}},{"operation":"upsert","request":{"key":"taken","value":3,"etag":"99999"}}]""");

        using HttpResponseMessage fresh = await sidecar.Http.GetAsync("v1.0/actors/Cart/7/state/fresh");
        Assert.Equal(HttpStatusCode.InternalServerError, saved.StatusCode);
        Assert.Equal("ERR_ACTOR_STATE_TRANSACTION_SAVE", await saved.ErrorCodeAsync());
        Assert.Equal(HttpStatusCode.NoContent, fresh.StatusCode);
        Assert.Equal("1", await sidecar.Http.GetStringAsync("v1.0/actors/Cart/7/state/taken"));
    }

    [Fact]
    public async Task A_value_with_a_time_to_live_says_when_it_expires()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");
        await sidecar.Http.SaveAsync("Cart/7", """[{"operation":"upsert","request":{"key":"k","value":1,"metadata":{"ttlInSeconds":"60"}}}]""");

        using HttpResponseMessage read = await sidecar.Http.GetAsync("v1.0/actors/Cart/7/state/k");

        var expires = DateTimeOffset.Parse(Assert.Single(read.Headers.GetValues("metadata.ttlExpireTime")), System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(expires - DateTimeOffset.UtcNow, TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(62));
    }

    [Fact]
    public async Task State_of_an_actor_that_is_not_active_is_refused()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();

        using HttpResponseMessage saved = await sidecar.Http.SaveAsync("Cart/7", """[{"operation":"upsert","request":{"key":"k","value":1}}]""");

        Assert.Equal(HttpStatusCode.BadRequest, saved.StatusCode);
        Assert.Equal("ERR_ACTOR_INSTANCE_MISSING", await saved.ErrorCodeAsync());
    }

    [Fact]
    public async Task A_body_that_is_no_list_of_operations_is_refused()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");

        using HttpResponseMessage saved = await sidecar.Http.SaveAsync("Cart/7", "{");

        Assert.Equal(HttpStatusCode.BadRequest, saved.StatusCode);
        Assert.Equal("ERR_MALFORMED_REQUEST", await saved.ErrorCodeAsync());
    }

    [Fact]
    public async Task Without_an_actor_state_store_the_error_says_how_to_mark_one()
    {
        Dictionary<string, string> unmarked = SidecarHarness.Component("statestore", "state.in-memory");
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync(unmarked);
        await sidecar.Http.CallAsync("Cart/7");

        using HttpResponseMessage saved = await sidecar.Http.SaveAsync("Cart/7", """[{"operation":"upsert","request":{"key":"k","value":1}}]""");

        Assert.Equal(HttpStatusCode.InternalServerError, saved.StatusCode);
        Assert.Equal("ERR_ACTOR_RUNTIME_NOT_FOUND", await saved.ErrorCodeAsync());
    }

    [OwnSidecarFact] // reads the store by another way than the API
    public async Task Keys_have_the_form_that_other_tools_expect()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");
        await sidecar.Http.SaveAsync("Cart/7", """[{"operation":"upsert","request":{"key":"k","value":1}}]""");

        var store = ((Mesh.Testing.EmbeddedSidecar)sidecar.Main).Server.Context.States.ActorStore!;

        Assert.NotNull(await store.GetAsync("shop||Cart||7||k", CancellationToken.None));
    }
}
