using System.Text;
using Mesh.Retrieval.Syntax;

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

    private readonly TextCursor _text;
    private readonly List<FilterStep> _steps = [];

    private FilterParser(TextCursor text) => _text = text;

    /// <summary>Compiles a filter; empty or blank text is the filter that admits all.</summary>
    public static bool TryParse(string text, out FilterPlan plan, out string fault)
    {
        FilterPlan read = FilterPlan.All;
        bool isRead = TextCursor.TryRead(text, LengthMax, cursor => read = new FilterParser(cursor).Read(), "AND, OR or the end", out fault);
        plan = isRead ? read : FilterPlan.All;
        return isRead;
    }

    private FilterPlan Read()
    {
        Either();
        return new FilterPlan(_steps);
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
        _text.Enter();
        if (TakeWord("NOT"))
        {
            One();
            _steps.Add(new FilterStep(FilterOperator.Not, null));
        }
        else if (_text.Take("("))
        {
            Either();
            if (!_text.Take(")")) throw _text.Unexpected("')'");
        }
        else
        {
            _steps.Add(new FilterStep(FilterOperator.Term, Term()));
        }

        _text.Leave();
    }

    private FilterTerm Term()
    {
        int start = _text.At;
        string field = _text.TakeWhile(static (symbol, _) => !IsBoundary(symbol) && symbol is not (':' or '"'));
        if (field.Length == 0) throw _text.Unexpected("a field, NOT or '('");
        if (_text.Here != ':') throw TextCursor.Fault(start, $"'{field}' is not followed by ':' and a value");
        _text.TakeOne();

        (FilterField kind, string key) = Field(field, start);
        string value = Value();
        _text.SkipBlanks();
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
        _ => throw TextCursor.Fault(position, $"'{name}' is not a field; fields are tag, author, language, safety, item and attribute.NAME"),
    };

    private string Value()
    {
        if (_text.Here == '"') return Quoted();

        int start = _text.At;
        string value = _text.TakeWhile(static (symbol, _) => !IsBoundary(symbol) && symbol != '"');
        return value.Length > 0 ? value : throw TextCursor.Fault(start, "a value is missing");
    }

    private string Quoted()
    {
        int start = _text.At;
        var value = new StringBuilder();
        _text.TakeOne();
        while (!_text.IsAtEnd && _text.Here != '"')
        {
            if (_text.Here == '\\')
            {
                _text.TakeOne();
                if (_text.IsAtEnd) break;
            }

            value.Append(_text.TakeOne());
        }

        if (_text.IsAtEnd) throw TextCursor.Fault(start, "the quoted value does not end");
        _text.TakeOne();
        return value.ToString();
    }

    // A word counts only as a whole: "ORANGE:x" does not begin with OR, and "NOT:x" is a field.
    private bool TakeWord(string word) => _text.TakeWord(word, IsBoundary);

    private static bool IsBoundary(char symbol) => char.IsWhiteSpace(symbol) || symbol is '(' or ')';
}
