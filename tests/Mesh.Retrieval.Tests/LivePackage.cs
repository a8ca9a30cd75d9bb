using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Inference.Features;
using Mesh.Snapshots;

namespace Mesh.Retrieval.Tests;

/// <summary>A model package, and what it makes of items and users: the truth that answers are held against.</summary>
internal sealed class LivePackage : IDisposable
{
    private readonly ModelPackage _package;
    private readonly UserTower _tower;

    public LivePackage(string folder, InferenceRuntime runtime)
    {
        _package = ModelPackage.Load(folder, ModelGraphs.Item, runtime, CancellationToken.None);
        Tower = new SnapshotTower(_package.ReadFile("user.onnx"), _package.ManifestJson);
        _tower = UserTower.Open(Tower.Graph.ToArray(), Tower.Manifest.Span, runtime, CancellationToken.None);
    }

    public string Version => _package.Version;

    public int Dimensions => _package.Manifest.Item.Dimensions;

    public SnapshotTower Tower { get; }

    /// <summary>Rows as index-updater makes them.</summary>
    public List<ItemRow> Rows(IReadOnlyList<Item> items)
    {
        int levels = _package.Manifest.SemanticIds.Levels;
        FeatureSettings features = _package.Manifest.Features;
        var tokens = new TensorBuffer(TensorElement.Int64, items.Count, features.TokensMax);
        var codes = new TensorBuffer(TensorElement.Int64, items.Count, levels);
        var vectors = new TensorBuffer(TensorElement.Float, items.Count, Dimensions);
        for (int i = 0; i < items.Count; i++) ItemFeatures.Write(items[i], features, tokens.Longs.Slice(i * features.TokensMax, features.TokensMax));
        _package.Item.Run(
            new Dictionary<string, TensorBuffer> { ["tokens"] = tokens }, new Dictionary<string, TensorBuffer> { ["codes"] = codes, ["vector"] = vectors }, CancellationToken.None);
        return
        [
            .. items.Select((item, i) => new ItemRow
            {
                Item = item,
                Embedding = ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(vectors.Floats.Slice(i * Dimensions, Dimensions))),
                Codes = { codes.Longs.Slice(i * levels, levels).ToArray().Select(code => (uint)code) },
                ModelVersion = Version,
            }),
        ];
    }

    /// <summary>Query vectors of a user whose history is these rows.</summary>
    public float[] Queries(Sequence sequence, IEnumerable<ItemRow> history) => _tower.EncodeAsync(
        sequence,
        history.ToDictionary(row => row.Item.ItemId, row => new HistoryItem { ItemId = row.Item.ItemId, AuthorId = row.Item.AuthorId, Codes = { row.Codes } }),
        CancellationToken.None).GetAwaiter().GetResult();

    public void Dispose()
    {
        _tower.Dispose();
        _package.Dispose();
    }
}
