using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Mesh.Contracts;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// What gives an item its place in the index: an encoder, and codebooks of its own or fitted here. Immutable. The version names
/// both, such as <c>mini-1f2e3d4c</c> or <c>hash64-1+rq3x256-1f2e3d4c</c>: two rows can be compared where it is the same.
/// </summary>
internal sealed class ItemModel(IItemEncoder encoder, ResidualCodebooks? fitted = null)
{
    // Rows that one call of the encoder takes: enough to fill its matrix products, and a call stays under some tens of milliseconds.
    public const int BatchRows = 256;

    public IItemEncoder Encoder => encoder;

    /// <summary>Null before the first fit.</summary>
    public ResidualCodebooks? Codebooks { get; } = encoder.Codebooks ?? fitted;

    public string Version { get; } = encoder.Codebooks is null ? VersionOf(encoder.ModelVersion, fitted) : encoder.ModelVersion;

    /// <summary>Whether codebooks are fitted to the catalogue: the encoder brings none.</summary>
    public bool FitsCodebooks => encoder.Codebooks is null;

    /// <summary>Vectors with the codes of <see cref="Codebooks"/>; for any number of items.</summary>
    public EncodedItem[] Encode(IReadOnlyList<Item> items)
    {
        var encoded = new List<EncodedItem>(items.Count);
        foreach (Item[] batch in items.Chunk(BatchRows)) encoded.AddRange(encoder.Encode(batch));
        return FitsCodebooks ? [.. encoded.Select(item => item with { Codes = CodesOf(item) })] : [.. encoded];
    }

    /// <summary>Rows of any model as rows of this one. A row whose vector is this encoder's already only gets its codes.</summary>
    public CatalogueEntry[] Encode(IReadOnlyList<CatalogueEntry> rows)
    {
        EncodedItem[] others = Encode([.. rows.Where(row => !HasVector(row)).Select(row => row.Item!)]);
        int next = 0;
        return [.. rows.Select(row => With(row, HasVector(row) ? new EncodedItem(row.Embedding, CodesOf(new EncodedItem(row.Embedding, row.Codes))) : others[next++]))];
    }

    public CatalogueEntry With(CatalogueEntry row, EncodedItem encoded) => row with { Embedding = encoded.Vector, Codes = encoded.Codes, ModelVersion = Version };

    /// <summary>The part of a model version that names the encoder.</summary>
    public static string EncoderOf(string version) => version.Split('+')[0];

    private bool HasVector(CatalogueEntry row) => EncoderOf(row.ModelVersion) == encoder.ModelVersion;

    private ushort[]? CodesOf(EncodedItem encoded)
    {
        if (!FitsCodebooks) return encoded.Codes;
        if (Codebooks is null) return null;
        var codes = new ushort[Codebooks.Levels];
        Codebooks.Encode(MemoryMarshal.Cast<byte, float>(encoded.Vector.Span), codes);
        return codes;
    }

    private static string VersionOf(string encoder, ResidualCodebooks? codebooks)
    {
        if (codebooks is null) return encoder;
        byte[] hash = SHA256.HashData(MemoryMarshal.AsBytes(codebooks.Centroids));
        return string.Create(
            CultureInfo.InvariantCulture, $"{encoder}+rq{codebooks.Levels}x{codebooks.CodesPerLevel}-{Convert.ToHexStringLower(hash.AsSpan(0, 4))}");
    }
}
