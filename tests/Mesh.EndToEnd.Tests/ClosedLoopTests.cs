using System.Net.Http.Json;
using System.Text.Json;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>Simulated users against a real mesh: the simulator's closed loop speaks the API that the gateway serves.</summary>
public sealed class ClosedLoopTests
{
    [Fact]
    public async Task A_loop_tells_a_ranker_from_a_random_order_and_leaves_no_items_behind()
    {
        await using MeshHost host = await MeshHost.StartAsync(new MeshHostOptions
        {
            Environment = new Dictionary<string, string>
            {
                ["Gateway__Flags__0__Name"] = "ranker", ["Gateway__Flags__0__Arms__0__Name"] = "heuristic", ["Gateway__Flags__0__Arms__0__Percent"] = "50",
                ["Gateway__Flags__0__Arms__1__Name"] = "explore", ["Gateway__Flags__0__Arms__1__Percent"] = "50",
            },
        });
        string json = Path.Combine(host.DataDirectory, "loop.json");

        await SimulatorProcess.RunAsync(
            host, "loop", "--arms", "heuristic,explore", "--seeds", "7", "--users", "8", "--requests-per-user", "4", "--items", "400", "--authors", "30", "--concurrency", "2", "--json", json);

        JsonElement result = JsonDocument.Parse(await File.ReadAllBytesAsync(json)).RootElement;
        JsonElement utility = result.GetProperty("sections")[0].GetProperty("measures").GetProperty("utilityPerRequest");
        Assert.True(utility.GetProperty("differences").GetProperty("heuristic - explore").GetProperty("low").GetDouble() > 0, utility.ToString());
        Assert.True(utility.GetProperty("arms").GetProperty("heuristic").GetProperty("value").GetDouble() < utility.GetProperty("bounds").GetProperty("oracle").GetDouble());
        Assert.Equal(0, result.GetProperty("seeded")[0].GetProperty("foreign").GetInt32());
        JsonElement system = await host.Http.GetFromJsonAsync<JsonElement>("v1/system");
        Assert.Equal(0, system.GetProperty("index").GetProperty("items").GetInt64());
    }
}
