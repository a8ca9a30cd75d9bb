using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>
/// The encoder that needs no training: words and word pairs of the text, tags and the author are hashed to signed features,
/// and a signed random projection brings them down to 64 dimensions. Items that share words, tags or the author point the
/// same way, as far as they share them.
/// </summary>
internal sealed class HashingItemEncoder : IItemEncoder
{
    /// <summary>Where no model is configured.</summary>
    public const string Version = "hash64-1";

    // Any change to what follows makes other vectors: it needs another version.
    private const int FeatureBits = 22;
    private const ulong ProjectionSeed = 0x6D657368_00000001;
    private const int TokensMax = 1_000;
    private const float PairWeight = 0.5f;
    private const float TagWeight = 2f;
    private const float TagWordWeight = 0.5f;
    private const float AuthorWeight = 1.5f;

    private readonly FeatureHasher _hasher = new(FeatureBits);
    private readonly RandomProjection _projection = new(64, ProjectionSeed);

    public string ModelVersion => Version;

    public int Dimensions => _projection.Dimensions;

    public ResidualCodebooks? Codebooks => null;

    public SnapshotTower? Tower => null;

    public EncodedItem[] Encode(IReadOnlyList<Item> items) =>
        [.. items.Select(item => new EncodedItem(ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(Encode(item))), null))];

    /// <summary>[Dimensions], L2 norm 1.</summary>
    public float[] Encode(Item item)
    {
        var vector = new float[Dimensions];
        AddText(vector, item.Text);
        foreach (string tag in item.Tags.Select(Normalise).Distinct(StringComparer.Ordinal))
        {
            Add(vector, 'g', tag, TagWeight);
            // A tag also counts a little as words, so that "#hiking" and a text about hiking meet.
            foreach (string word in Tokenizer.Tokenize(tag, TokensMax)) Add(vector, 't', word, TagWordWeight);
        }

        if (item.AuthorId.Length > 0) Add(vector, 'a', item.AuthorId, AuthorWeight);
        if (L2Normalizer.Normalize(vector) > 0) return vector;

        // Nothing to go by, or features that cancelled out exactly: a direction of its own, from the id.
        Add(vector, 'i', item.ItemId, 1);
        L2Normalizer.Normalize(vector);
        return vector;
    }

    // Sublinear term frequency: a word said ten times counts 3.3 times, not ten. The whole text is then scaled so that a
    // long one does not drown tags and author: its length grows with the square root of its distinct words.
    private void AddText(float[] vector, string text)
    {
        List<string> tokens = Tokenizer.Tokenize(text, TokensMax);
        if (tokens.Count == 0) return;

        var counts = new Dictionary<(string First, string? Second), int>();
        for (int i = 0; i < tokens.Count; i++)
        {
            Count((tokens[i], null));
            if (i > 0) Count((tokens[i - 1], tokens[i]));
        }

        double squared = counts.Sum(entry => Math.Pow(Weight(entry.Key.Second, entry.Value), 2));
        float scale = (float)(4 / Math.Sqrt(Math.Max(16, squared)));
        foreach (((string first, string? second), int count) in counts)
        {
            if (second is null) Add(vector, 't', first, scale * Weight(second, count));
            else Add(vector, 'p', $"{first} {second}", scale * Weight(second, count));
        }

        void Count((string, string?) feature) => counts[feature] = counts.GetValueOrDefault(feature) + 1;
    }

    private static float Weight(string? second, int count) => (second is null ? 1f : PairWeight) * (1 + MathF.Log(count));

    private static string Normalise(string tag) => tag.Trim().ToLowerInvariant();

    private void Add(float[] vector, char field, string token, float weight)
    {
        (uint feature, int sign) = _hasher.Hash(field, token);
        _projection.Add(vector, feature, sign * weight);
    }
}
