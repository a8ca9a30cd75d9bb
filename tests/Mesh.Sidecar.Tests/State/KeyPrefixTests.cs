using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Tests.State;

/// <summary>How apps that use one store share or do not share keys, by the component's <c>keyPrefix</c>.</summary>
public sealed class KeyPrefixTests
{
    [Theory]
    [InlineData(null, false)]
    [InlineData("appid", false)]
    [InlineData("name", true)]
    [InlineData("none", true)]
    [InlineData("custom", true)]
    public async Task Two_apps_see_each_others_keys_only_where_the_prefix_is_not_the_app(string? prefix, bool shared)
    {
        (string, string)[] metadata = prefix is null ? [("connectionString", "s.db")] : [("connectionString", "s.db"), ("keyPrefix", prefix)];
        await using SidecarHarness first = await SidecarHarness.StartAsync(SidecarHarness.Component("statestore", "state.sqlite", metadata), appId: "one");
        (Mesh.Testing.RunningSidecar second, _) = await first.AddAsync("two");

        await first.Http.Post("v1.0/state/statestore", """[{"key":"k","value":1}]""");

        Assert.Equal(shared ? "1" : "", (await second.Http.Get("v1.0/state/statestore/k")).Body);
    }

    [OwnSidecarFact]
    public async Task The_stored_key_is_prefix_bars_key()
    {
        foreach ((string strategy, string expected) in new[]
        {
            ("appid", "testapp||k"), ("name", "statestore||k"), ("none", "k"), ("namespace", "prod.testapp||k"), ("Mine", "mine||k"),
        })
        {
            await using SidecarHarness sidecar = await SidecarHarness.StartAsync(
                SidecarHarness.Component("statestore", "state.in-memory", ("keyPrefix", strategy)), configure: options => options with { Namespace = "prod" });
            await sidecar.Http.Post("v1.0/state/statestore", """[{"key":"k","value":1}]""");

            SidecarContext context = ((Mesh.Testing.EmbeddedSidecar)sidecar.Main).Server.Context;
            Assert.Equal([expected], await context.States.Find("statestore")!.KeysAsync("", default));
        }
    }
}
