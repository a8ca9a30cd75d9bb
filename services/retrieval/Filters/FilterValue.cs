using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

/// <summary>
/// One value that a row has and a term can ask for. Two are equal exactly where <see cref="FilterTerm.Holds"/> takes them for
/// the same: languages and safety without case, everything else by code point.
/// </summary>
internal readonly struct FilterValue(FilterField field, string key, string value) : IEquatable<FilterValue>
{
    private readonly FilterField _field = field;
    private readonly string _key = key;
    private readonly string _value = value;
    private readonly ulong _hash = HashOf(field, key, value);

    public FilterField Field => _field;

    /// <summary>The key under which rows that the term holds for are filed.</summary>
    public static FilterValue Of(FilterTerm term) => new(term.Field, term.Key, term.Value);

    /// <summary>Values of a row: its own id, author, language and safety, each tag and each attribute; a repeated tag is named again.</summary>
    public static int CountOf(ItemFacts facts) => 4 + facts.Tags.Length + facts.Attributes.Length;

    /// <summary>One of the <see cref="CountOf"/> values of a row.</summary>
    public static FilterValue At(ItemFacts facts, Eligibility eligibility, int index) => index switch
    {
        0 => new FilterValue(FilterField.Item, "", facts.ItemId),
        1 => new FilterValue(FilterField.Author, "", facts.AuthorId),
        2 => new FilterValue(FilterField.Language, "", facts.Language),
        3 => new FilterValue(FilterField.Safety, "", eligibility.Safety),
        _ when index < 4 + facts.Tags.Length => new FilterValue(FilterField.Tag, "", facts.Tags[index - 4]),
        _ => new FilterValue(FilterField.Attribute, facts.Attributes[index - 4 - facts.Tags.Length].Key, facts.Attributes[index - 4 - facts.Tags.Length].Value),
    };

    /// <summary>Equal for equal values, and of this process only: the seed of string hashes is drawn at start, so no client can aim at it.</summary>
    public ulong Hash() => _hash;

    public bool Equals(FilterValue other) =>
        _hash == other._hash && _field == other._field && _key == other._key && string.Equals(_value, other._value, ComparisonOf(_field));

    public override bool Equals(object? obj) => obj is FilterValue other && Equals(other);

    public override int GetHashCode() => (int)_hash;

    public override string ToString() => _key.Length > 0 ? $"{_field}.{_key}:{_value}" : $"{_field}:{_value}";

    private static ulong HashOf(FilterField field, string key, string value) =>
        StableHash.Mix(((ulong)(uint)HashCode.Combine(field, key) << 32) | (uint)value.GetHashCode(ComparisonOf(field)));

    private static StringComparison ComparisonOf(FilterField field) =>
        field is FilterField.Language or FilterField.Safety ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
}
