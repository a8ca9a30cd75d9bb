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

    public FilterField Field => _field;

    private StringComparison Comparison =>
        _field is FilterField.Language or FilterField.Safety ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;

    /// <summary>The key under which rows that the term holds for are filed.</summary>
    public static FilterValue Of(FilterTerm term) => new(term.Field, term.Key, term.Value);

    /// <summary>Every value of a row, its own id among them; a repeated tag is named again.</summary>
    public static IEnumerable<FilterValue> Of(ItemFacts facts, Eligibility eligibility)
    {
        yield return new FilterValue(FilterField.Item, "", facts.ItemId);
        yield return new FilterValue(FilterField.Author, "", facts.AuthorId);
        yield return new FilterValue(FilterField.Language, "", facts.Language);
        yield return new FilterValue(FilterField.Safety, "", eligibility.Safety);
        foreach (string tag in facts.Tags) yield return new FilterValue(FilterField.Tag, "", tag);
        foreach ((string name, string text) in facts.Attributes) yield return new FilterValue(FilterField.Attribute, name, text);
    }

    /// <summary>Equal for equal values, and of this process only: the seed of string hashes is drawn at start, so no client can aim at it.</summary>
    public ulong Hash() =>
        StableHash.Mix(((ulong)(uint)HashCode.Combine(_field, _key) << 32) | (uint)_value.GetHashCode(Comparison));

    public bool Equals(FilterValue other) =>
        _field == other._field && _key == other._key && string.Equals(_value, other._value, Comparison);

    public override bool Equals(object? obj) => obj is FilterValue other && Equals(other);

    public override int GetHashCode() => (int)Hash();

    public override string ToString() => _key.Length > 0 ? $"{_field}.{_key}:{_value}" : $"{_field}:{_value}";
}
