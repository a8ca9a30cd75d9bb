using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Inference.Features;

/// <summary>
/// Tokens of an item for item.onnx, most telling first, as what does not fit is cut: author, tags, language, kind, words.
/// Agrees with training/feedmesh/features.py (golden file).
/// </summary>
public static class ItemFeatures
{
    public const int TagsMax = 8;

    /// <summary>Fills one row of <c>tokens</c> [N,T]: zeros at the end where there are fewer.</summary>
    public static void Write(Item item, FeatureSettings settings, Span<long> tokens)
    {
        ArgumentNullException.ThrowIfNull(item);
        ArgumentNullException.ThrowIfNull(settings);
        if (tokens.Length != settings.TokensMax) throw new ArgumentException($"The row has {tokens.Length} places; the model takes {settings.TokensMax}.", nameof(tokens));

        int count = 0, tags = 0;
        if (item.AuthorId.Length > 0) Add(FeatureHash.Author, item.AuthorId, settings.TokenBuckets, tokens, ref count);
        foreach (string tag in item.Tags)
        {
            ReadOnlySpan<char> trimmed = tag.AsSpan().Trim();
            if (trimmed.IsEmpty) continue;
            if (++tags > TagsMax) break;
            Add(FeatureHash.Tag, trimmed.ToString().ToLowerInvariant(), settings.TokenBuckets, tokens, ref count);
        }

        if (item.Language.Length > 0) Add(FeatureHash.Language, item.Language, settings.TokenBuckets, tokens, ref count);
        Add(FeatureHash.Kind, item.DurationMs > 0 ? "video" : "post", settings.TokenBuckets, tokens, ref count);
        if (count < tokens.Length)
        {
            foreach (string word in Tokenizer.Tokenize(item.Text, tokens.Length - count)) Add(FeatureHash.Word, word, settings.TokenBuckets, tokens, ref count);
        }

        tokens[count..].Clear();
    }

    private static void Add(char field, ReadOnlySpan<char> token, int buckets, Span<long> tokens, ref int count)
    {
        if (count < tokens.Length) tokens[count++] = FeatureHash.Bucket(FeatureHash.Compute(field, token), 0, buckets);
    }
}
