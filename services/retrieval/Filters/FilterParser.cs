using System.Globalization;
using System.Text;

namespace Mesh.Retrieval.Filters;

/// <summary>
/// The filter language, by recursive descent of bounded depth:
/// <code>
/// either  = both  { "OR"  both }
/// both    = one   { "AND" one }
/// one     = "NOT" one | "(" either ")" | field ":" value
/// field   = tag | author | language | safety | item | attribute.NAME
/// value   = letters up to a space or parenthesis | "in quotes, \" and \\ escaped"
/// </code>
/// NOT binds tighter than AND, AND tighter than OR. Operators are upper case. Errors name the position, counted from 0.
/// </summary>
internal sealed class FilterParser
{
    public const int LengthMax = 2_000;
    public const int DepthMax = 32;

    private readonly string _text;
    private readonly List<FilterStep> _steps = [];
    private int _at;
    private int _depth;

    private FilterParser(string text) => _text = text;

    /// <summary>Compiles a filter; empty or blank text is the filter that admits all.</summary>
    public static bool TryParse(string text, out FilterPlan plan, out string fault)
    {
        plan = FilterPlan.All;
        fault = "";
        if (text.Length > LengthMax)
        {
            fault = $"is {text.Length} characters long; at most {LengthMax} are allowed";
            return false;
        }

        var parser = new FilterParser(text);
        parser.SkipBlanks();
        if (parser._at == text.Length) return true;

        try
        {
            parser.Either();
            if (parser._at < text.Length) throw parser.Unexpected("AND, OR or the end");
            plan = new FilterPlan(parser._steps);
            return true;
        }
        catch (FormatException exception)
        {
            fault = exception.Message;
            return false;
        }
    }

    private void Either()
    {
        Both();
        while (TakeWord("OR"))
        {
            Both();
            _steps.Add(new FilterStep(FilterOperator.Or, null));
        }
    }

    private void Both()
    {
        One();
        while (TakeWord("AND"))
        {
            One();
            _steps.Add(new FilterStep(FilterOperator.And, null));
        }
    }

    private void One()
    {
        if (++_depth > DepthMax) throw Fault(_at, $"is nested deeper than {DepthMax} levels");

        if (TakeWord("NOT"))
        {
            One();
            _steps.Add(new FilterStep(FilterOperator.Not, null));
        }
        else if (Take('('))
        {
            Either();
            if (!Take(')')) throw Unexpected("')'");
        }
        else
        {
            _steps.Add(new FilterStep(FilterOperator.Term, Term()));
        }

        _depth--;
    }

    private FilterTerm Term()
    {
        int start = _at;
        while (_at < _text.Length && !IsBoundary(_text[_at]) && _text[_at] is not (':' or '"')) _at++;
        string field = _text[start.._at];
        if (field.Length == 0) throw Unexpected("a field, NOT or '('");
        if (_at == _text.Length || _text[_at] != ':') throw Fault(start, $"'{field}' is not followed by ':' and a value");
        _at++;

        (FilterField kind, string key) = Field(field, start);
        string value = Value();
        SkipBlanks();
        return new FilterTerm(kind, key, value);
    }

    private static (FilterField Field, string Key) Field(string name, int position) => name switch
    {
        "tag" => (FilterField.Tag, ""),
        "author" => (FilterField.Author, ""),
        "language" => (FilterField.Language, ""),
        "safety" => (FilterField.Safety, ""),
        "item" => (FilterField.Item, ""),
        _ when name.StartsWith("attribute.", StringComparison.Ordinal) && name.Length > "attribute.".Length =>
            (FilterField.Attribute, name["attribute.".Length..]),
        _ => throw Fault(position, $"'{name}' is not a field; fields are tag, author, language, safety, item and attribute.NAME"),
    };

    private string Value()
    {
        if (_at < _text.Length && _text[_at] == '"') return Quoted();

        int start = _at;
        while (_at < _text.Length && !IsBoundary(_text[_at]) && _text[_at] != '"') _at++;
        return _at > start ? _text[start.._at] : throw Fault(start, "a value is missing");
    }

    private string Quoted()
    {
        int start = _at++;
        var value = new StringBuilder();
        while (_at < _text.Length && _text[_at] != '"')
        {
            if (_text[_at] == '\\' && ++_at == _text.Length) break;
            value.Append(_text[_at++]);
        }

        if (_at == _text.Length) throw Fault(start, "the quoted value does not end");
        _at++;
        return value.ToString();
    }

    private bool Take(char symbol)
    {
        if (_at == _text.Length || _text[_at] != symbol) return false;
        _at++;
        SkipBlanks();
        return true;
    }

    // A word counts only as a whole: "ORANGE:x" does not begin with OR, and "NOT:x" is a field.
    private bool TakeWord(string word)
    {
        int end = _at + word.Length;
        if (string.CompareOrdinal(_text, _at, word, 0, word.Length) != 0) return false;
        if (end < _text.Length && !IsBoundary(_text[end])) return false;
        _at = end;
        SkipBlanks();
        return true;
    }

    private void SkipBlanks()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at])) _at++;
    }

    private static bool IsBoundary(char symbol) => char.IsWhiteSpace(symbol) || symbol is '(' or ')';

    private FormatException Unexpected(string expected)
    {
        int end = _at;
        while (end < _text.Length && end < _at + 20 && !char.IsWhiteSpace(_text[end])) end++;
        string found = end == _at ? "the end" : $"'{_text[_at..end]}'";
        return Fault(_at, $"found {found} where {expected} was expected");
    }

    private static FormatException Fault(int position, string message) =>
        new($"at position {position.ToString(CultureInfo.InvariantCulture)}: {message}");
}
