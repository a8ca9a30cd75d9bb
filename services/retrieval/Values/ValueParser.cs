using System.Globalization;
using Mesh.Retrieval.Syntax;

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

    private readonly TextCursor _text;
    private readonly List<ValueStep> _steps = [];
    private readonly List<ValueColumn> _columns = [];

    private ValueParser(TextCursor text) => _text = text;

    /// <summary>Compiles a formula. Empty or blank text is none: the caller's own score stands.</summary>
    /// <param name="formula">Null for empty text, and where there is a fault.</param>
    /// <param name="fault">What is wrong and where; empty where nothing is.</param>
    public static bool TryParse(string text, out ValueFormula? formula, out string fault)
    {
        ValueFormula? read = null;
        bool isRead = TextCursor.TryRead(text, LengthMax, cursor => read = new ValueParser(cursor).Read(text), "an operator or the end", out fault);
        formula = isRead ? read : null;
        return isRead;
    }

    private ValueFormula Read(string text)
    {
        Value();
        return new ValueFormula(text.Trim(), _steps, _columns);
    }

    private void Value()
    {
        Sum();
        foreach ((string symbol, ValueOperator comparison) in Comparisons)
        {
            if (!_text.Take(symbol)) continue;
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
            if (_text.Take("+")) operation = ValueOperator.Add;
            else if (_text.Take("-")) operation = ValueOperator.Subtract;
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
            if (_text.Take("*")) operation = ValueOperator.Multiply;
            else if (_text.Take("/")) operation = ValueOperator.Divide;
            else return;
            Signed();
            _steps.Add(new ValueStep(operation));
        }
    }

    private void Signed()
    {
        _text.Enter();
        if (_text.Take("-"))
        {
            Signed();
            _steps.Add(new ValueStep(ValueOperator.Negate));
        }
        else if (_text.Take("("))
        {
            Value();
            if (!_text.Take(")")) throw _text.Unexpected("an operator or ')'");
        }
        else if (char.IsAsciiDigit(_text.Here) || _text.Here == '.')
        {
            Number();
        }
        else if (char.IsAsciiLetter(_text.Here))
        {
            Name();
        }
        else
        {
            throw _text.Unexpected("a number, a name, '-' or '('");
        }

        _text.Leave();
    }

    // Takes every character that could belong to a number or name, so that "2x" and "1.2.3" are told as a whole.
    private void Number()
    {
        int start = _text.At;
        string written = _text.TakeWhile(static (symbol, before) => IsNamePart(symbol) || (symbol is '+' or '-' && before is 'e' or 'E'));
        if (!double.TryParse(written, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out double number))
        {
            throw TextCursor.Fault(start, $"'{TextCursor.Shorten(written)}' is not a number; numbers are written 12, 0.5 or 1e-3");
        }

        if (!double.IsFinite(number)) throw TextCursor.Fault(start, $"'{TextCursor.Shorten(written)}' is too large; the largest number is {double.MaxValue}");
        _text.SkipBlanks();
        _steps.Add(new ValueStep(ValueOperator.Number, Number: number));
    }

    private void Name()
    {
        int start = _text.At;
        string name = _text.TakeWhile(static (symbol, _) => IsNamePart(symbol));
        _text.SkipBlanks();
        int function = Array.FindIndex(Functions, known => known.Name == name);
        bool isCall = _text.Take("(");
        if (isCall && function < 0) throw TextCursor.Fault(start, $"'{TextCursor.Shorten(name)}' is not a function; functions are {FunctionNames}");
        if (!isCall && function >= 0) throw TextCursor.Fault(start, $"'{name}' is a function and is not followed by '('");
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
        while (_text.Take(","));

        if (!_text.Take(")")) throw _text.Unexpected("an operator, ',' or ')'");
        if (operands < operandsMin || operands > operandsMax)
        {
            string wanted = operandsMin == operandsMax ? $"{operandsMin}" : $"at least {operandsMin}";
            throw TextCursor.Fault(start, $"'{name}' has {operands} values; it takes {wanted}");
        }

        if (operandsMax != LengthMax) _steps.Add(new ValueStep(operation));
    }

    private void Column(string name, int start)
    {
        if (!ValueColumn.TryFind(name, out ValueColumn column)) throw TextCursor.Fault(start, $"'{TextCursor.Shorten(name)}' is not a name; names are {ValueColumn.Known}");

        int place = _columns.IndexOf(column);
        if (place < 0)
        {
            place = _columns.Count;
            _columns.Add(column);
        }

        _steps.Add(new ValueStep(ValueOperator.Column, Column: place));
    }

    private static bool IsNamePart(char symbol) => char.IsAsciiLetterOrDigit(symbol) || symbol is '_' or '.';
}
