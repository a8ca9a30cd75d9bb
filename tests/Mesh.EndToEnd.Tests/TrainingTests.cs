using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>From a served page to a training row: what ML engineers get out of a running mesh, by the command they use.</summary>
public sealed class TrainingTests
{
    private const string User = "learner";

    [Fact]
    public async Task What_was_served_and_done_is_training_data_that_one_command_fetches()
    {
        await using MeshHost host = await MeshHost.StartAsync();
        var mesh = new MeshApi(host.Http);
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        List<ItemRow> items = SmallWorld.Items(40, now);
        await mesh.PostItemsAsync(items);
        await mesh.PostEventsAsync([.. Enumerable.Range(0, 8).Select(i => SmallWorld.Event(User, $"cooking-{i}", "like", now - 10_000 + i))]);
        await Eventually.TrueAsync("the likes are in the log", async () => (await mesh.HistoryAsync(User)).Events.Length == 8);
        string live = "";
        await Eventually.TrueAsync("the three services agree on a model", async () => (live = await LiveAsync(mesh)).Length > 0, withinSeconds: 120);

        JsonElement page = default;
        await Eventually.TrueAsync(
            "the transformer scores with a sequence that was encoded while retrieval searched",
            async () => IsPrepared(page = await mesh.Http.GetFromJsonAsync<JsonElement>($"/v1/users/{User}/feed?limit=5&explain=true"), live),
            () => Task.FromResult(page.TryGetProperty("ranking", out JsonElement ranking) ? ranking.ToString() : ""), withinSeconds: 120);
        string requestId = page.GetProperty("requestId").GetString()!, clicked = page.GetProperty("items")[0].GetProperty("itemId").GetString()!;
        long until = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        await mesh.PostEventsAsync([SmallWorld.Event(User, clicked, "click", until + 1_000) with { RequestId = requestId }]);

        string training = $"{Invoke(host, "sequence-store")}/training?until={(until + 1).ToString(CultureInfo.InvariantCulture)}";
        TrainingRow? row = null;
        await Eventually.TrueAsync("the row has its label", async () =>
        {
            row = (await RowsAsync(mesh, training)).SingleOrDefault(each => each.RequestId == requestId);
            return row?.Candidates.Any(candidate => candidate.Actions.Count > 0) == true;
        });
        string folder = Path.Combine(host.DataDirectory, "fetched");
        await FetchAsync("--sequence-store", Invoke(host, "sequence-store"), "--index-updater", Invoke(host, "index-updater"), "--out", folder, "--until", $"{until + 1}");
        await mesh.EraseAsync(User);

        Assert.Equal([(clicked, "click")], row!.Candidates.SelectMany(candidate => candidate.Actions.Select(action => (candidate.ItemId, ActionTaxonomy.Default.NameOf((int)action)))));
        Assert.Equal(Enumerable.Range(0, 8).Select(i => $"cooking-{i}"), row.Sequence.ItemIds);
        Assert.Equal(("transformer", live, 5), (row.Arms["ranker"], row.ModelVersion, row.Candidates.Count));
        Assert.All(row.Candidates, candidate => Assert.NotNull(candidate.Counters));
        Assert.Contains(row, (await File.ReadAllLinesAsync(Path.Combine(folder, "rows.jsonl"))).Select(line => TrainingRow.Parser.ParseJson(line)));
        Assert.Equal(
            items.Select(item => item.ItemId).Order(StringComparer.Ordinal),
            (await File.ReadAllLinesAsync(Path.Combine(folder, "items.jsonl"))).Select(line => Item.Parser.ParseJson(line).ItemId).Order(StringComparer.Ordinal));
        Assert.Empty(await RowsAsync(mesh, training));
    }

    private static bool IsPrepared(JsonElement page, string live)
    {
        JsonElement ranking = page.GetProperty("ranking");
        return ranking.GetProperty("prepared").GetBoolean() && ranking.GetProperty("arm").GetString() == "transformer" && ranking.GetProperty("modelVersion").GetString() == live;
    }

    private static async Task<string> LiveAsync(MeshApi mesh) =>
        (await mesh.Http.GetFromJsonAsync<JsonElement>("/v1/models")).GetProperty("live").GetString() ?? "";

    // Any app's sidecar reaches every other.
    private static string Invoke(MeshHost host, string appId) => $"http://localhost:{host.App("gateway").DaprHttpPort}/v1.0/invoke/{appId}/method";

    private static async Task<TrainingRow[]> RowsAsync(MeshApi mesh, string url) =>
        [.. (await mesh.Http.GetStringAsync(url)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => TrainingRow.Parser.ParseJson(line))];

    private static async Task FetchAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("python3", ["-m", "feedmesh.fetch", .. arguments])
        {
            WorkingDirectory = Path.Combine(MeshHost.RepositoryRoot, "training"), RedirectStandardError = true, RedirectStandardOutput = true,
        };
        using Process fetch = Process.Start(start)!;
        Task<string> output = fetch.StandardOutput.ReadToEndAsync();
        string fault = await fetch.StandardError.ReadToEndAsync();
        await fetch.WaitForExitAsync();
        Assert.True(fetch.ExitCode == 0, $"{fault}{await output}");
    }
}
