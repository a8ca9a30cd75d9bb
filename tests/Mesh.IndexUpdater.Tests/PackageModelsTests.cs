using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;
using Mesh.Inference;
using Mesh.Inference.Features;
using Mesh.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Tests;

public sealed class PackageModelsTests : IDisposable
{
    private readonly TempFolder _root = new();
    private readonly InferenceRuntime _runtime = ModelVariant.NewRuntime();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Lines _lines = new();

    public void Dispose()
    {
        _runtime.Dispose();
        _services.Dispose();
        _root.Dispose();
    }

    [Fact]
    public void An_item_gets_the_same_bits_alone_and_in_any_batch_with_codes_of_the_packages_books()
    {
        ModelVariant.CopyMini(_root.Path);
        IItemEncoder encoder = New("mini").Default;
        Item[] items = [.. Enumerable.Range(0, 700).Select(Item)];

        EncodedItem[] together = new ItemModel(encoder).Encode(items);

        Assert.Equal(ModelVariant.MiniVersion, encoder.ModelVersion);
        for (int i = 0; i < items.Length; i += 97)
        {
            EncodedItem alone = Assert.Single(encoder.Encode([items[i]]));
            Assert.Equal(together[i].Vector, alone.Vector);
            Assert.Equal(together[i].Codes, alone.Codes);
            Assert.Equal(1, MemoryMarshal.Cast<byte, float>(alone.Vector.Span).ToArray().Sum(value => (double)value * value), 1e-4);
            Assert.All(alone.Codes!, code => Assert.InRange(code, 0, encoder.Codebooks!.CodesPerLevel - 1));
        }
    }

    [Fact]
    public void Packages_are_found_by_version_or_by_path_and_differ_in_what_they_give()
    {
        string mini = ModelVariant.CopyMini(_root.Path);
        string other = ModelVariant.Write(_root.Path, "other", seed: 1);
        PackageModels models = New("mini");

        IItemEncoder byVersion = models.Open(other, "");
        Assert.Same(byVersion, models.Open(other, "other"));
        Assert.Same(models.Default, models.Open(mini, ""));
        Assert.NotEqual(models.Default.Encode([Item(1)])[0].Vector, byVersion.Encode([Item(1)])[0].Vector);
        Assert.NotEqual(models.Default.Encode([Item(1)])[0].Codes, byVersion.Encode([Item(1)])[0].Codes);
        Assert.Contains(other, Assert.Throws<ModelRejectedException>(() => New("mini").Open("mini-00000000", "other")).Message, StringComparison.Ordinal);
        Assert.Contains("mini-00000000", Assert.Throws<ModelRejectedException>(() => models.Open("mini-00000000", "")).Message, StringComparison.Ordinal);
        Assert.Throws<ModelRejectedException>(() => models.Open("mini-00000000", "../elsewhere"));
    }

    [Fact]
    public void A_damaged_package_is_refused_with_the_file_named()
    {
        ModelVariant.CopyMini(_root.Path);
        string damaged = ModelVariant.Write(_root.Path, "damaged", seed: 2);
        string file = Path.Combine(_root.Path, "damaged", "user.onnx");
        byte[] content = File.ReadAllBytes(file);
        content[content.Length / 2] ^= 1;
        File.WriteAllBytes(file, content);

        Assert.Contains("user.onnx", Assert.Throws<ModelRejectedException>(() => New("mini").Open(damaged, "")).Message, StringComparison.Ordinal);
        Assert.Equal("hash64-1", New("damaged").Default.ModelVersion);
        Assert.Throws<ModelRejectedException>(() => New("damaged", required: true));
    }

    [Theory]
    [InlineData("user.onnx")]
    [InlineData("candidates.onnx")]
    public void A_package_is_refused_for_a_graph_that_other_services_run(string file)
    {
        ModelVariant.CopyMini(_root.Path, "other");
        File.Copy(Path.Combine(_root.Path, "other", "item.onnx"), Path.Combine(_root.Path, "other", file), overwrite: true);
        string other = ModelVariant.Seal(Path.Combine(_root.Path, "other"));

        Assert.Contains($"{file} takes ", Assert.Throws<ModelRejectedException>(() => New("").Open(other, "other")).Message, StringComparison.Ordinal);
        Assert.Equal(HashingItemEncoder.Version, New("other").Default.ModelVersion);
    }

    [Fact]
    public void A_default_package_whose_graph_fails_its_run_leaves_items_to_hashing()
    {
        ModelVariant.CopyMini(_root.Path, "other");
        string folder = Path.Combine(_root.Path, "other");
        File.WriteAllBytes(Path.Combine(folder, "user.onnx"), TestGraphs.FailingUserTower(ModelPackage.ReadManifest(folder)));
        ModelVariant.Seal(folder);

        Assert.Equal(HashingItemEncoder.Version, New("other").Default.ModelVersion);
    }

    [Fact]
    public void An_item_without_a_finite_vector_is_kept_without_one_and_holds_up_no_other()
    {
        ModelManifest mini = ModelPackage.ReadManifest(ModelVariant.MiniFolder);
        Item[] items = [.. Enumerable.Range(0, 5).Select(Item)];
        var tokens = new long[mini.Features.TokensMax];
        ItemFeatures.Write(items[3], mini.Features, tokens);
        string version = ModelVariant.WriteWith(_root.Path, "other", "item", TestGraphs.ItemTower(mini, hostile: tokens[0]));

        EncodedItem[] encoded = New("").Open(version, "other").Encode(items);

        Assert.Null(encoded[3].Codes);
        Assert.All(MemoryMarshal.Cast<byte, float>(encoded[3].Vector.Span).ToArray(), value => Assert.Equal(0, value));
        foreach (int good in new[] { 0, 1, 2, 4 })
        {
            Assert.Equal(new ushort[mini.SemanticIds.Levels], encoded[good].Codes);
            Assert.Equal(1, MemoryMarshal.Cast<byte, float>(encoded[good].Vector.Span)[0]);
        }

        Assert.Contains("1 of 5 items", Assert.Single(_lines.OfErrors), StringComparison.Ordinal);
    }

    [Theory, InlineData(""), InlineData("absent")]
    public void Without_a_package_items_are_encoded_by_hashing(string configured)
    {
        PackageModels models = New(configured);

        Assert.Equal(HashingItemEncoder.Version, models.Default.ModelVersion);
        Assert.Same(models.Default, models.Open(HashingItemEncoder.Version, ""));
    }

    private PackageModels New(string configured, bool required = false) => new(
        new ModelFolder(_root.Path), _runtime, Options.Create(new ModelsOptions { Default = configured, Required = required }),
        new IndexUpdaterMetrics(_services.GetRequiredService<IMeterFactory>()), _lines);

    private static Item Item(int i) => new()
    {
        ItemId = $"item-{i}", AuthorId = $"author-{i % 13}", Text = $"words number {i} about topic{i % 7}", Tags = { $"tag{i % 5}" }, DurationMs = i % 3 * 1_000,
    };

    private sealed class Lines : ILogger<PackageModels>
    {
        public List<string> OfErrors { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel == LogLevel.Error) OfErrors.Add(formatter(state, exception));
        }
    }
}
