using System.Runtime.InteropServices;
using System.Text;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.IndexUpdater.Encoders;
using Mesh.Inference;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Tests;

/// <summary>Encoders by version, in memory: the first is the default, hashing until another is set.</summary>
internal sealed class FakeModels : IItemModels
{
    private readonly Dictionary<string, IItemEncoder> _encoders = new(StringComparer.Ordinal) { [HashingItemEncoder.Version] = new HashingItemEncoder() };

    public IItemEncoder Default { get; private set; } = new HashingItemEncoder();

    /// <summary>The only model that there is from now on.</summary>
    public void Replace(IItemEncoder encoder)
    {
        _encoders.Clear();
        Add(encoder);
        Default = encoder;
    }

    public void SetDefault(IItemEncoder encoder)
    {
        Add(encoder);
        Default = encoder;
    }

    public void Add(IItemEncoder encoder) => _encoders[encoder.ModelVersion] = encoder;

    public void Remove(string version) => _encoders.Remove(version);

    public IItemEncoder Open(string version, string path) => _encoders.GetValueOrDefault(version) ?? throw new ModelRejectedException($"There is no model '{version}'.");
}

/// <summary>
/// A model of another version: the hashed vector turned by the version's own signs, and codes of books of its own. What the
/// versions give to one item differs in every vector and nearly every code.
/// </summary>
internal sealed class FakeEncoder(string version, bool fits = false) : IItemEncoder
{
    private readonly HashingItemEncoder _inner = new();
    private readonly float[] _signs = Signs(version);
    private int _encoded;

    public string ModelVersion => version;

    public int Dimensions => _inner.Dimensions;

    public ResidualCodebooks? Codebooks { get; } = fits ? null : Books(version);

    public SnapshotTower? Tower { get; } = fits ? null : new SnapshotTower(Encoding.UTF8.GetBytes($"graph of {version}"), Encoding.UTF8.GetBytes($"manifest of {version}"));

    /// <summary>Items encoded so far.</summary>
    public int Encoded => Volatile.Read(ref _encoded);

    /// <summary>Called with the count so far, before a batch is encoded.</summary>
    public Action<int> BeforeBatch { get; set; } = static _ => { };

    public EncodedItem[] Encode(IReadOnlyList<Item> items)
    {
        BeforeBatch(Encoded);
        Interlocked.Add(ref _encoded, items.Count);
        return [.. items.Select(Encode)];
    }

    private EncodedItem Encode(Item item)
    {
        float[] vector = _inner.Encode(item);
        for (int i = 0; i < vector.Length; i++) vector[i] *= _signs[i];
        ushort[]? codes = Codebooks is null ? null : new ushort[Codebooks.Levels];
        Codebooks?.Encode(vector, codes);
        return new EncodedItem(ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(vector)), codes);
    }

    private static float[] Signs(string version)
    {
        var random = new Random((int)StableHash.Compute(version));
        return [.. Enumerable.Range(0, 64).Select(_ => random.Next(2) == 0 ? -1f : 1f)];
    }

    private static ResidualCodebooks Books(string version)
    {
        var random = new Random((int)StableHash.Compute(version));
        return new ResidualCodebooks(2, 16, 64, [.. Enumerable.Range(0, 2 * 16 * 64).Select(_ => (float)(random.NextDouble() - 0.5) / 4)]);
    }
}
