using System.Text.Json;
using Mesh.Host.Data;
using Mesh.Host.Processes;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;

namespace Mesh.Host;

/// <summary>
/// Fills an empty store with a small synthetic world through the public REST API. <c>demo.json</c> in the data directory
/// remembers seed and end of the world before the first row is sent: a fill that was cut off goes on with the same ids, so
/// nothing is there twice.
/// </summary>
internal sealed class DemoWorld(PrefixedOutput output, TimeProvider clock)
{
    private const string Name = "demo";
    private static readonly TimeSpan IndexPause = TimeSpan.FromSeconds(1);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    public async Task FillAsync(RunState run, CancellationToken cancellation)
    {
        using var api = new FeedApi(new Uri(run.GatewayUrl), clock: clock);
        string path = Path.Combine(run.DataDirectory, "demo.json");
        Progress? progress = File.Exists(path) ? JsonSerializer.Deserialize<Progress>(await File.ReadAllBytesAsync(path, cancellation), Json) : null;
        if (progress is null && await HasItemsAsync(api, cancellation))
        {
            output.WriteLine(Name, "The store already holds items; --demo leaves it alone.");
            return;
        }

        if (progress is not { Complete: true })
        {
            progress ??= new Progress(Seed: 1, clock.GetUtcNow(), Complete: false);
            await SaveAsync(path, progress, cancellation);
            await ImportAsync(api, progress, cancellation);
            await SaveAsync(path, progress with { Complete = true }, cancellation);
        }

        PrintExamples(run.GatewayUrl);
    }

    private async Task ImportAsync(FeedApi api, Progress progress, CancellationToken cancellation)
    {
        SyntheticWorld world = SyntheticWorld.Create(new SyntheticOptions { Seed = progress.Seed, End = progress.End });
        var importer = new Importer(api, new ImportOptions(), clock);
        ImportSummary summary = await importer.RunAsync(world, new PlainProgress(line => output.WriteLine(Name, line)), cancellation);
        foreach (string line in summary.ToString().TrimEnd().Split('\n')) output.WriteLine(Name, line.TrimEnd('\r'));
    }

    private void PrintExamples(string url)
    {
        string user = SyntheticWorld.UserId(0);
        output.WriteBlock(string.Join(Environment.NewLine,
            "",
            "Try:",
            $"  curl '{url}/v1/users/{user}/feed?limit=10'",
            $"  curl '{url}/v1/users/{user}/feed?limit=3&explain=true'   # why: the 14 probabilities that models/mini gives each item, their weights, what was attenuated",
            $"  curl '{url}/v1/users/{user}/history?limit=10'",
            $"  curl '{url}/v1/items/{SyntheticWorld.ItemId(0)}/similar?limit=5'",
            $"  curl -X PUT '{url}/v1/users/{user}/mutes/{SyntheticWorld.AuthorId(0)}'",
            $"  curl '{url}/v1/system'",
            "", ""));
    }

    // The index is null while neither retrieval nor index-updater answers; both were ready a moment ago.
    private async Task<bool> HasItemsAsync(FeedApi api, CancellationToken cancellation)
    {
        while (true)
        {
            JsonElement system = await api.GetAsync("v1/system", cancellation);
            if (system.TryGetProperty("index", out JsonElement index) && index.ValueKind is JsonValueKind.Object) return index.GetProperty("items").GetInt64() > 0;

            output.WriteLine(Name, "Waiting for the index to answer.");
            await Task.Delay(IndexPause, clock, cancellation);
        }
    }

    private static async Task SaveAsync(string path, Progress progress, CancellationToken cancellation)
    {
        string temporary = path + ".new";
        await File.WriteAllBytesAsync(temporary, JsonSerializer.SerializeToUtf8Bytes(progress, Json), cancellation);
        File.Move(temporary, path, overwrite: true);
    }

    private sealed record Progress(int Seed, DateTimeOffset End, bool Complete);
}
