using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Testing;
using static Mesh.Ranker.Tests.TransformerProtocolTests;

namespace Mesh.Ranker.Tests;

/// <summary>Packages as they lie on disk: models/mini, and copies of it under other names, which are other versions of the same graphs.</summary>
public sealed class DiskPackageTests : IDisposable
{
    private static readonly string Mini = Path.Combine(RepositoryRoot(), "models", "mini");

    private readonly TempFolder _root = new();
    private readonly string _version;

    public DiskPackageTests() => _version = Copy("mini");

    public void Dispose() => _root.Dispose();

    [Fact]
    public async Task Another_package_goes_live_and_back_while_requests_run()
    {
        string other = Copy("other");
        using RankerApp app = App();
        ScoreRequest request = MiniModelTests.Request(seed: 1, 200);
        ScoreResponse before = await app.ScoreAsync(request);

        Task<ScoreResponse>[] during = [.. Enumerable.Range(0, 20).Select(_ => app.ScoreAsync(request))];
        Assert.Equal("SUCCESS", await app.DeliverAsync(new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = 1, Version = other, Path = "other" }));
        ScoreResponse after = await app.ScoreAsync(request);
        Assert.Equal("SUCCESS", await app.DeliverAsync(new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = 2, Version = _version, Path = "mini" }));

        Assert.Equal((_version, other, _version), (before.ModelVersion, after.ModelVersion, (await app.ScoreAsync(request)).ModelVersion));
        Assert.Equal(before.Scores, after.Scores);
        foreach (ScoreResponse response in await Task.WhenAll(during))
        {
            Assert.Equal("transformer", response.Arm);
            Assert.Equal(before.Scores, response.Scores);
        }

        Assert.Equal([_version, other], (await app.StatusAsync()).ModelVersions);
    }

    [Theory]
    [InlineData("candidates.onnx")]
    [InlineData("codebooks.safetensors")] // not run here, but a package is good as a whole or not at all
    [InlineData("manifest.json")]
    public async Task A_damaged_package_is_refused_and_the_live_one_serves_on(string file)
    {
        string other = Copy("other");
        byte[] bytes = await File.ReadAllBytesAsync(_root.In("other", file));
        bytes[bytes.Length / 2] ^= 0x55;
        await File.WriteAllBytesAsync(_root.In("other", file), bytes);
        using RankerApp app = App();

        Assert.Equal("DROP", await app.DeliverAsync(new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = 1, Version = other, Path = "other" }));

        Assert.Equal(_version, (await app.ScoreAsync(MiniModelTests.Request(seed: 1, 5))).ModelVersion);
        Assert.Equal([_version], (await app.StatusAsync()).ModelVersions);
    }

    [Theory]
    [InlineData("item.onnx")] // not run here, but index-updater would refuse it
    [InlineData("user.onnx")]
    [InlineData("candidates.onnx")]
    public async Task A_package_with_a_graph_that_cannot_run_is_refused_and_as_the_default_leaves_the_heuristic(string file)
    {
        Copy("other");
        await File.WriteAllBytesAsync(_root.In("other", file), TestGraphs.FailingUserTower(ModelPackage.ReadManifest(_root.In("other"))));
        string other = ModelVariant.Seal(_root.In("other"));
        using RankerApp app = App();
        using RankerApp onlyOther = App("other");

        Assert.Equal("DROP", await app.DeliverAsync(new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = 1, Version = other, Path = "other" }));

        Assert.Equal(_version, (await app.ScoreAsync(MiniModelTests.Request(seed: 1, 5))).ModelVersion);
        Assert.Equal("heuristic", (await onlyOther.ScoreAsync(MiniModelTests.Request(seed: 1, 5))).Arm);
    }

    [Fact]
    public async Task A_version_that_comes_later_is_found_by_its_manifest_past_a_broken_neighbour()
    {
        using RankerApp app = App();
        _ = app.Services;
        string other = Copy("whatever-folder", name: "other");
        _root.Write("a-broken-one/manifest.json", "{");

        ScoreRequest request = With(MiniModelTests.Request(seed: 1, 5), copy => copy.ModelVersion = other);
        await Eventually.EqualAsync(("transformer", other), async () =>
        {
            ScoreResponse response = await app.ScoreAsync(request);
            return (response.Arm, response.ModelVersion);
        }, "the version on disk scores");
    }

    [Fact]
    public async Task Without_the_default_package_the_heuristic_scores()
    {
        using RankerApp app = App("nowhere");

        ScoreResponse response = await app.ScoreAsync(MiniModelTests.Request(seed: 1, 5));

        Assert.Equal("heuristic", response.Arm);
        Assert.StartsWith("no_model: ", response.FallbackReason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_default_that_is_not_one_folder_name_stops_the_service_at_start()
    {
        using RankerApp app = App("trained/mini");

        Assert.Contains("Models:Default must be empty or one folder name", Assert.ThrowsAny<Exception>(() => app.Services).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sizes_and_outcomes_can_be_scraped()
    {
        using RankerApp app = App();
        await app.ScoreAsync(MiniModelTests.Request(seed: 1, 5));
        using HttpClient client = app.CreateClient();

        string text = await client.GetStringAsync("metrics");

        foreach (string metric in new[]
        {
            "mesh_ranker_context_entries", "mesh_ranker_context_bytes", "mesh_ranker_score_cache_bytes", "mesh_ranker_queue_candidates", "mesh_ranker_models_loaded",
            "mesh_ranker_context_lookups", "mesh_ranker_encode_duration_seconds_count", "mesh_ranker_batch_candidates",
        }) Assert.Contains(metric, text, StringComparison.Ordinal);
    }

    internal static string RepositoryRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Mesh.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("Mesh.sln is in no folder above the tests.");
    }

    private RankerApp App(string model = "mini") => new(
        new() { ["Models:Root"] = _root.Path, ["Models:Default"] = model, ["Ranker:Transformer:TimeoutMs"] = "60000" }, fromDisk: true);

    // The version's name is free, its hash is of the files.
    private string Copy(string folder, string? name = null)
    {
        Directory.CreateDirectory(_root.In(folder));
        foreach (string file in Directory.EnumerateFiles(Mini)) File.Copy(file, _root.In(folder, Path.GetFileName(file)));
        string manifest = File.ReadAllText(_root.In(folder, "manifest.json"));
        string version = System.Text.Json.JsonDocument.Parse(manifest).RootElement.GetProperty("version").GetString()!;
        string renamed = (name ?? folder) + version[version.LastIndexOf('-')..];
        File.WriteAllText(_root.In(folder, "manifest.json"), manifest.Replace($"\"{version}\"", $"\"{renamed}\"", StringComparison.Ordinal));
        return renamed;
    }
}
