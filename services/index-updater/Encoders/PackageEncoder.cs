using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Inference.Features;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>item.onnx of a model package: content embedding, quantiser and item tower in one graph. Safe from any thread.</summary>
internal sealed class PackageEncoder : IItemEncoder
{
    // A single row takes another path through the matrix products, which differs in the last bit: an item alone is run twice.
    private const int RowsMin = 2;

    private readonly ModelPackage _package;

    /// <summary>Reads what snapshots carry of the package; it stays open as long as this encoder is reachable.</summary>
    public PackageEncoder(ModelPackage package)
    {
        _package = package;
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
        int rows = Math.Max(RowsMin, items.Count);
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
        for (int row = 0; row < encoded.Length; row++)
        {
            ReadOnlySpan<float> vector = vectors.Floats.Slice(row * Dimensions, Dimensions);
            encoded[row] = new EncodedItem(ByteString.CopyFrom(MemoryMarshal.AsBytes(vector)), CodesOf(codes.Longs.Slice(row * Codebooks.Levels, Codebooks.Levels)));
        }

        return encoded;
    }

    private ushort[] CodesOf(ReadOnlySpan<long> codes)
    {
        var narrow = new ushort[codes.Length];
        for (int level = 0; level < narrow.Length; level++)
        {
            if ((ulong)codes[level] >= (ulong)Codebooks.CodesPerLevel) throw new InvalidDataException($"item.onnx of {ModelVersion} gave the code {codes[level]}; there are {Codebooks.CodesPerLevel}.");
            narrow[level] = (ushort)codes[level];
        }

        return narrow;
    }
}
