using System.Globalization;
using System.Text;

namespace Mesh.Sidecar.PubSub.Routing;

/// <summary>Recursive descent over the grammar of CEL, one method per level of precedence.</summary>
internal sealed class CelParser(string text)
{
    private const int DepthMax = 64;
    private static readonly string[] Comparisons = ["==", "!=", "<=", ">=", "<", ">"];
    private int _at;
    private int _depth;

    public CelNode Parse()
    {
        CelNode root = Conditional();
        SkipSpace();
        return _at == text.Length ? root : throw Fault($"unexpected '{text[_at]}'");
    }

    private CelNode Conditional()
    {
        if (++_depth > DepthMax) throw Fault("nested too deeply");
        CelNode condition = Or();
        if (Take("?"))
        {
            CelNode yes = Conditional();
            Expect(":");
            condition = new ConditionalNode(condition, yes, Conditional());
        }

        _depth--;
        return condition;
    }

    private CelNode Or()
    {
        CelNode left = And();
        while (Take("||")) left = new LogicNode(left, And(), decidedBy: true);
        return left;
    }

    private CelNode And()
    {
        CelNode left = Relation();
        while (Take("&&")) left = new LogicNode(left, Relation(), decidedBy: false);
        return left;
    }

    private CelNode Relation()
    {
        CelNode left = Sum();
        while (true)
        {
            string? comparison = Array.Find(Comparisons, Take);
            if (comparison is not null) left = new OperatorNode(comparison, left, Sum());
            else if (TakeWord("in")) left = new OperatorNode("in", left, Sum());
            else return left;
        }
    }

    private CelNode Sum()
    {
        CelNode left = Product();
        while (true)
        {
            if (Take("+")) left = new OperatorNode("+", left, Product());
            else if (Take("-")) left = new OperatorNode("-", left, Product());
            else return left;
        }
    }

    private CelNode Product()
    {
        CelNode left = Unary();
        while (true)
        {
            if (Take("*")) left = new OperatorNode("*", left, Unary());
            else if (Take("/")) left = new OperatorNode("/", left, Unary());
            else if (Take("%")) left = new OperatorNode("%", left, Unary());
            else return left;
        }
    }

    private CelNode Unary()
    {
        SkipSpace();
        bool not = _at < text.Length && text[_at] == '!' && !(_at + 1 < text.Length && text[_at + 1] == '=');
        if (not || (_at < text.Length && text[_at] == '-'))
        {
            if (++_depth > DepthMax) throw Fault("nested too deeply");
            _at++;
            CelNode operand = Unary();
            _depth--;
            return not ? new NotNode(operand) : new OperatorNode("-", new LiteralNode(0L), operand);
        }

        return Member();
    }

    private CelNode Member()
    {
        CelNode target = Primary();
        while (true)
        {
            if (Take("."))
            {
                string name = Word() ?? throw Fault("a field name is missing after '.'");
                target = Take("(") ? new CallNode(name, [target, .. Arguments()], Fault) : new FieldNode(target, name);
            }
            else if (Take("["))
            {
                CelNode index = Conditional();
                Expect("]");
                target = new IndexNode(target, index);
            }
            else
            {
                return target;
            }
        }
    }

    private CelNode Primary()
    {
        SkipSpace();
        if (_at >= text.Length) throw Fault("the expression ends too early");
        char first = text[_at];
        if (Take("("))
        {
            CelNode inner = Conditional();
            Expect(")");
            return inner;
        }

        if (Take("[")) return new ListNode(Arguments("]"));
        if (first is '"' or '\'') return new LiteralNode(Quoted(first));
        if (char.IsAsciiDigit(first)) return new LiteralNode(Number());
        string word = Word() ?? throw Fault($"unexpected '{first}'");
        if (Take("("))
        {
            CelNode[] arguments = Arguments();
            if (word != "has") return new CallNode(word, arguments, Fault);
            return arguments is [FieldNode field] ? new HasNode(field) : throw Fault("has() takes one field selection, as in has(event.data.x)");
        }

        return word switch
        {
            "true" => new LiteralNode(true),
            "false" => new LiteralNode(false),
            "null" => new LiteralNode(null),
            _ => new VariableNode(word),
        };
    }

    private CelNode[] Arguments(string close = ")")
    {
        var arguments = new List<CelNode>();
        if (Take(close)) return [];
        do arguments.Add(Conditional());
        while (Take(","));
        Expect(close);
        return [.. arguments];
    }

    private object Number()
    {
        int start = _at;
        while (_at < text.Length && (char.IsAsciiLetterOrDigit(text[_at]) || text[_at] == '.' || (text[_at] is '-' or '+' && text[_at - 1] is 'e' or 'E'))) _at++;
        string number = text[start.._at].TrimEnd('u', 'U');
        if (long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long whole)) return whole;
        if (double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double real)) return real;
        throw Fault($"'{number}' is no number");
    }

    private string Quoted(char quote)
    {
        var value = new StringBuilder();
        for (_at++; _at < text.Length; _at++)
        {
            char c = text[_at];
            if (c == quote)
            {
                _at++;
                return value.ToString();
            }

            if (c == '\\' && _at + 1 < text.Length) c = text[++_at] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', var other => other };
            value.Append(c);
        }

        throw Fault("a string is not closed");
    }

    private string? Word()
    {
        SkipSpace();
        int start = _at;
        while (_at < text.Length && (char.IsLetterOrDigit(text[_at]) || text[_at] == '_')) _at++;
        return _at == start || char.IsAsciiDigit(text[start]) ? null : text[start.._at];
    }

    private bool TakeWord(string word)
    {
        SkipSpace();
        int end = _at + word.Length;
        bool found = string.CompareOrdinal(text, _at, word, 0, word.Length) == 0 && (end >= text.Length || !(char.IsLetterOrDigit(text[end]) || text[end] == '_'));
        if (found) _at = end;
        return found;
    }

    private bool Take(string token)
    {
        SkipSpace();
        if (string.CompareOrdinal(text, _at, token, 0, token.Length) != 0) return false;
        _at += token.Length;
        return true;
    }

    private void Expect(string token)
    {
        if (!Take(token)) throw Fault($"'{token}' is missing");
    }

    private void SkipSpace()
    {
        while (_at < text.Length && char.IsWhiteSpace(text[_at])) _at++;
    }

    private CelException Fault(string fault) => new($"'{text}' is not an expression, at character {_at + 1}: {fault}");
}
