using System.Text.Json;

namespace Mesh.Sidecar.PubSub.Routing;

internal sealed class LiteralNode(object? value) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) => value;
}

internal sealed class VariableNode(string name) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) =>
        variables.TryGetValue(name, out object? value) ? CelValue.Of(value) : new CelError($"no such attribute: {name}");
}

internal sealed class ListNode(CelNode[] items) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables)
    {
        object?[] values = [.. items.Select(item => item.Evaluate(variables))];
        return (object?)Array.Find(values, value => value is CelError) ?? values;
    }
}

internal sealed class FieldNode(CelNode target, string name) : CelNode
{
    public string Name => name;

    public object? Target(IReadOnlyDictionary<string, object?> variables) => target.Evaluate(variables);

    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) => Target(variables) switch
    {
        CelError error => error,
        JsonElement { ValueKind: JsonValueKind.Object } map => map.TryGetProperty(name, out JsonElement value) ? CelValue.Of(value) : new CelError($"no such key: {name}"),
        var other => new CelError($"{CelValue.TypeName(other)} has no field {name}"),
    };
}

internal sealed class HasNode(FieldNode field) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) => field.Target(variables) switch
    {
        CelError error => error,
        JsonElement { ValueKind: JsonValueKind.Object } map => map.TryGetProperty(field.Name, out _),
        var other => new CelError($"{CelValue.TypeName(other)} has no field {field.Name}"),
    };
}

internal sealed class IndexNode(CelNode target, CelNode index) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) => (target.Evaluate(variables), index.Evaluate(variables)) switch
    {
        (CelError error, _) => error,
        (_, CelError error) => error,
        (JsonElement { ValueKind: JsonValueKind.Object } map, string key) =>
            map.TryGetProperty(key, out JsonElement value) ? CelValue.Of(value) : new CelError($"no such key: {key}"),
        (JsonElement { ValueKind: JsonValueKind.Array } list, long at) =>
            at >= 0 && at < list.GetArrayLength() ? CelValue.Of(list[(int)at]) : new CelError($"index {at} is out of range"),
        (object?[] list, long at) => at >= 0 && at < list.Length ? list[at] : new CelError($"index {at} is out of range"),
        var (other, key) => new CelError($"{CelValue.TypeName(other)} cannot be indexed by {CelValue.TypeName(key)}"),
    };
}

internal sealed class NotNode(CelNode operand) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) => operand.Evaluate(variables) switch
    {
        bool value => !value,
        CelError error => error,
        var other => new CelError($"'!' needs a boolean, this is {CelValue.TypeName(other)}"),
    };
}

/// <summary><c>&amp;&amp;</c> and <c>||</c>: either side alone may decide, whatever became of the other.</summary>
internal sealed class LogicNode(CelNode left, CelNode right, bool decidedBy) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables)
    {
        object? first = left.Evaluate(variables);
        if (first is bool a && a == decidedBy) return decidedBy;
        object? second = right.Evaluate(variables);
        if (second is bool b && b == decidedBy) return decidedBy;
        if (first is CelError || second is CelError) return first as CelError ?? second;
        return first is bool && second is bool ? !decidedBy : new CelError($"'{(decidedBy ? "||" : "&&")}' needs booleans");
    }
}

internal sealed class ConditionalNode(CelNode condition, CelNode yes, CelNode no) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables) => condition.Evaluate(variables) switch
    {
        bool value => (value ? yes : no).Evaluate(variables),
        CelError error => error,
        var other => new CelError($"'?' needs a boolean, this is {CelValue.TypeName(other)}"),
    };
}

internal sealed class OperatorNode(string symbol, CelNode left, CelNode right) : CelNode
{
    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables)
    {
        object? a = left.Evaluate(variables);
        if (a is CelError) return a;
        object? b = right.Evaluate(variables);
        if (b is CelError) return b;
        return symbol switch
        {
            "==" => CelValue.AreEqual(a, b),
            "!=" => !CelValue.AreEqual(a, b),
            "in" => CelValue.IsIn(a, b),
            "<" or "<=" or ">" or ">=" => Compare(a, b),
            _ => CelValue.Arithmetic(symbol, a, b),
        };
    }

    private object Compare(object? a, object? b)
    {
        if (CelValue.Compare(a, b) is not { } order) return new CelError($"{CelValue.TypeName(a)} and {CelValue.TypeName(b)} cannot be compared");
        return symbol switch { "<" => order < 0, "<=" => order <= 0, ">" => order > 0, _ => order >= 0 };
    }
}
