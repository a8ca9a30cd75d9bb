using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Inference.Features;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>
/// item.onnx of a model package: content embedding, quantiser and item tower in one graph. Safe from any thread. An item that the graph
/// gives no finite vector or no code of the books has none: it is served to followers and as trending, and does not hold up the others.
/// </summary>
internal sealed class PackageEncoder : IItemEncoder
{
    private readonly ModelPackage _package;
    private readonly IndexUpdaterMetrics _metrics;
    private readonly ILogger _logger;
    private readonly ByteString _noVector;

    /// <summary>Reads what snapshots carry of the package; it stays open as long as this encoder is reachable.</summary>
    public PackageEncoder(ModelPackage package, IndexUpdaterMetrics metrics, ILogger logger)
    {
        (_package, _metrics, _logger) = (package, metrics, logger);
        _noVector = ByteString.CopyFrom(new byte[sizeof(float) * package.Manifest.Item.Dimensions]);
        Codebooks = package.ReadCodebooks();
        Tower = new SnapshotTower(package.ReadFile("user.onnx"), package.ManifestJson);
    }

    public string ModelVersion => _package.Version;

    public int Dimensions => _package.Manifest.Item.Dimensions;

    public ResidualCodebooks Codebooks { get; }

    public SnapshotTower? Tower { get; }

    public EncodedItem[] Encode(IReadOnlyList<Item> items)
    {
        if (items.Count == 0) return [];
        FeatureSettings features = _package.Manifest.Features;
        int rows = Math.Max(ModelPackage.RowsMin, items.Count);
        var tokens = new TensorBuffer(TensorElement.Int64, rows, features.TokensMax);
        var codes = new TensorBuffer(TensorElement.Int64, rows, Codebooks.Levels);
        var vectors = new TensorBuffer(TensorElement.Float, rows, Dimensions);
        for (int row = 0; row < rows; row++)
        {
            ItemFeatures.Write(items[Math.Min(row, items.Count - 1)], features, tokens.Longs.Slice(row * features.TokensMax, features.TokensMax));
        }

        _package.Item.Run(
            new Dictionary<string, TensorBuffer> { ["tokens"] = tokens },
            new Dictionary<string, TensorBuffer> { ["codes"] = codes, ["vector"] = vectors },
            CancellationToken.None);
        var encoded = new EncodedItem[items.Count];
        var refused = new List<string>();
        for (int row = 0; row < encoded.Length; row++)
        {
            ReadOnlySpan<float> vector = vectors.Floats.Slice(row * Dimensions, Dimensions);
            bool isGood = TryNarrow(codes.Longs.Slice(row * Codebooks.Levels, Codebooks.Levels), out ushort[] narrow) && IsFinite(vector);
            encoded[row] = isGood ? new EncodedItem(ByteString.CopyFrom(MemoryMarshal.AsBytes(vector)), narrow) : new EncodedItem(_noVector, Codes: null);
            if (!isGood) refused.Add(items[row].ItemId);
        }

        if (refused.Count > 0)
        {
            _metrics.NotEncoded(refused.Count);
            Log.ItemsNotEncoded(_logger, ModelVersion, refused.Count, items.Count, refused[0]);
        }

        return encoded;
    }

    private bool TryNarrow(ReadOnlySpan<long> codes, out ushort[] narrow)
    {
        narrow = new ushort[codes.Length];
        for (int level = 0; level < narrow.Length; level++)
        {
            if ((ulong)codes[level] >= (ulong)Codebooks.CodesPerLevel) return false;
            narrow[level] = (ushort)codes[level];
        }

        return true;
    }

    private static bool IsFinite(ReadOnlySpan<float> vector)
    {
        foreach (float value in vector)
        {
            if (!float.IsFinite(value)) return false;
        }

        return true;
    }
}
