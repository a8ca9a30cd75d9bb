using System.Globalization;

namespace Mesh.Retrieval.Values;

/// <summary>
/// The language of value formulas, by recursive descent of bounded depth:
/// <code>
/// value   = sum [ ("&lt;" | "&lt;=" | "&gt;" | "&gt;=") sum ]          1 where it holds, 0 where not
/// sum     = product { ("+" | "-") product }
/// product = signed { ("*" | "/") signed }
/// signed  = "-" signed | number | column | function "(" value { "," value } ")" | "(" value ")"
/// function = min, max (two values or more), log1p, exp, sqrt, pow, clamp(x, low, high), if(condition, then, else)
/// </code>
/// Columns are those of <see cref="ValueColumn"/>. Errors name the position, counted from 0.
/// </summary>
internal sealed class ValueParser
{
    public const int LengthMax = 1_000;
    public const int DepthMax = 32;
    private const int ShownMax = 40;

    private static readonly (string Name, ValueOperator Operator, int OperandsMin, int OperandsMax)[] Functions =
    [
        ("min", ValueOperator.Min, 2, LengthMax), ("max", ValueOperator.Max, 2, LengthMax), ("log1p", ValueOperator.Log1p, 1, 1),
        ("exp", ValueOperator.Exp, 1, 1), ("sqrt", ValueOperator.Sqrt, 1, 1), ("pow", ValueOperator.Pow, 2, 2),
        ("clamp", ValueOperator.Clamp, 3, 3), ("if", ValueOperator.If, 3, 3),
    ];

    // "<=" before "<", or the first would never be found.
    private static readonly (string Symbol, ValueOperator Operator)[] Comparisons =
    [
        ("<=", ValueOperator.LessOrEqual), ("<", ValueOperator.Less), (">=", ValueOperator.GreaterOrEqual), (">", ValueOperator.Greater),
    ];

    private static readonly string FunctionNames = string.Join(", ", Functions.Select(function => function.Name));

    private readonly string _text;
    private readonly List<ValueStep> _steps = [];
    private readonly List<ValueColumn> _columns = [];
    private int _at;
    private int _depth;

    private ValueParser(string text) => _text = text;

    /// <summary>Compiles a formula. Empty or blank text is none: the caller's own score stands.</summary>
    /// <param name="formula">Null for empty text, and where there is a fault.</param>
    /// <param name="fault">What is wrong and where; empty where nothing is.</param>
    public static bool TryParse(string text, out ValueFormula? formula, out string fault)
    {
        formula = null;
        fault = "";
        if (text.Length > LengthMax)
        {
            fault = $"is {text.Length} characters long; at most {LengthMax} are allowed";
            return false;
        }

        var parser = new ValueParser(text);
        parser.SkipBlanks();
        if (parser._at == text.Length) return true;

        try
        {
            parser.Value();
            if (parser._at < text.Length) throw parser.Unexpected("an operator or the end");
            formula = new ValueFormula(text.Trim(), parser._steps, parser._columns);
            return true;
        }
        catch (FormatException exception)
        {
            fault = exception.Message;
            return false;
        }
    }

    private void Value()
    {
        Sum();
        foreach ((string symbol, ValueOperator comparison) in Comparisons)
        {
            if (!Take(symbol)) continue;
            Sum();
            _steps.Add(new ValueStep(comparison));
            return;
        }
    }

    private void Sum()
    {
        Product();
        while (true)
        {
            ValueOperator operation;
            if (Take("+")) operation = ValueOperator.Add;
            else if (Take("-")) operation = ValueOperator.Subtract;
            else return;
            Product();
            _steps.Add(new ValueStep(operation));
        }
    }

    private void Product()
    {
        Signed();
        while (true)
        {
            ValueOperator operation;
            if (Take("*")) operation = ValueOperator.Multiply;
            else if (Take("/")) operation = ValueOperator.Divide;
            else return;
            Signed();
            _steps.Add(new ValueStep(operation));
        }
    }

    private void Signed()
    {
        if (++_depth > DepthMax) throw Fault(_at, $"is nested deeper than {DepthMax} levels");

        if (Take("-"))
        {
            Signed();
            _steps.Add(new ValueStep(ValueOperator.Negate));
        }
        else if (Take("("))
        {
            Value();
            if (!Take(")")) throw Unexpected("an operator or ')'");
        }
        else if (_at < _text.Length && (char.IsAsciiDigit(_text[_at]) || _text[_at] == '.'))
        {
            Number();
        }
        else if (_at < _text.Length && char.IsAsciiLetter(_text[_at]))
        {
            Name();
        }
        else
        {
            throw Unexpected("a number, a name, '-' or '('");
        }

        _depth--;
    }

    // Takes every character that could belong to a number or name, so that "2x" and "1.2.3" are told as a whole.
    private void Number()
    {
        int start = _at;
        while (_at < _text.Length && (IsNamePart(_text[_at]) || (_text[_at] is '+' or '-' && _text[_at - 1] is 'e' or 'E'))) _at++;
        string written = _text[start.._at];
        if (!double.TryParse(written, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out double number))
        {
            throw Fault(start, $"'{Shorten(written)}' is not a number; numbers are written 12, 0.5 or 1e-3");
        }

        if (!double.IsFinite(number)) throw Fault(start, $"'{Shorten(written)}' is too large; the largest number is {double.MaxValue}");
        SkipBlanks();
        _steps.Add(new ValueStep(ValueOperator.Number, Number: number));
    }

    private void Name()
    {
        int start = _at;
        while (_at < _text.Length && IsNamePart(_text[_at])) _at++;
        string name = _text[start.._at];
        SkipBlanks();
        int function = Array.FindIndex(Functions, known => known.Name == name);
        bool isCall = Take("(");
        if (isCall && function < 0) throw Fault(start, $"'{Shorten(name)}' is not a function; functions are {FunctionNames}");
        if (!isCall && function >= 0) throw Fault(start, $"'{name}' is a function and is not followed by '('");
        if (isCall) Call(function, start);
        else Column(name, start);
    }

    private void Call(int function, int start)
    {
        (string name, ValueOperator operation, int operandsMin, int operandsMax) = Functions[function];
        int operands = 0;
        do
        {
            Value();
            operands++;

            // min and max fold as they go: two operands are open at once, however many are written.
            if (operandsMax == LengthMax && operands > 1) _steps.Add(new ValueStep(operation));
        }
        while (Take(","));

        if (!Take(")")) throw Unexpected("an operator, ',' or ')'");
        if (operands < operandsMin || operands > operandsMax)
        {
            string wanted = operandsMin == operandsMax ? $"{operandsMin}" : $"at least {operandsMin}";
            throw Fault(start, $"'{name}' has {operands} values; it takes {wanted}");
        }

        if (operandsMax != LengthMax) _steps.Add(new ValueStep(operation));
    }

    private void Column(string name, int start)
    {
        if (!ValueColumn.TryFind(name, out ValueColumn column)) throw Fault(start, $"'{Shorten(name)}' is not a name; names are {ValueColumn.Known}");

        int place = _columns.IndexOf(column);
        if (place < 0)
        {
            place = _columns.Count;
            _columns.Add(column);
        }

        _steps.Add(new ValueStep(ValueOperator.Column, Column: place));
    }

    private bool Take(string symbol)
    {
        if (string.CompareOrdinal(_text, _at, symbol, 0, symbol.Length) != 0) return false;
        _at += symbol.Length;
        SkipBlanks();
        return true;
    }

    private void SkipBlanks()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at])) _at++;
    }

    private static bool IsNamePart(char symbol) => char.IsAsciiLetterOrDigit(symbol) || symbol is '_' or '.';

    private static string Shorten(string text) => text.Length <= ShownMax ? text : text[..ShownMax];

    private FormatException Unexpected(string expected)
    {
        int end = _at;
        while (end < _text.Length && end < _at + ShownMax && !char.IsWhiteSpace(_text[end])) end++;
        string found = end == _at ? "the end" : $"'{_text[_at..end]}'";
        return Fault(_at, $"found {found} where {expected} was expected");
    }

    private static FormatException Fault(int position, string message) =>
        new($"at position {position.ToString(CultureInfo.InvariantCulture)}: {message}");
}
