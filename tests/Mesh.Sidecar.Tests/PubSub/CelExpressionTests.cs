using System.Text.Json;
using Mesh.Sidecar.PubSub.Routing;

namespace Mesh.Sidecar.Tests.PubSub;

public sealed class CelExpressionTests
{
    private const string Event = """
        {"type":"widget","source":"s1","subject":null,"data":{"important":true,"amount":"20000","price":9.5,"count":3,"tags":["a","b"],"name":"Grün","nested":{"x":"y"}}}
        """;

    [Theory]
    [InlineData("event.type == \"widget\"")]
    [InlineData("event.type=='widget'&&event.source!='s2'")]
    [InlineData("has(event.data.important) && event.data.important == true")]
    [InlineData("!has(event.data.missing)")]
    [InlineData("int(event.data.amount) > 10000")]
    [InlineData("event.data.price >= 9.5 && event.data.price < 10")]
    [InlineData("event.data.count == 3")]
    [InlineData("event.data.count * 2 + 1 == 7")]
    [InlineData("event.data.nested.x == \"y\" || false")]
    [InlineData("event.data[\"nested\"][\"x\"] == \"y\"")]
    [InlineData("event.data.tags[1] == \"b\"")]
    [InlineData("\"a\" in event.data.tags && !(\"z\" in event.data.tags)")]
    [InlineData("event.type in [\"gadget\", \"widget\"]")]
    [InlineData("size(event.data.tags) == 2 && event.data.name.size() == 4")]
    [InlineData("event.type.startsWith(\"wid\") && event.type.endsWith(\"get\") && event.type.contains(\"dg\")")]
    [InlineData("event.type.matches(\"^w.*t$\")")]
    [InlineData("event.subject == null")]
    [InlineData("event.data.important ? event.data.count > 2 : false")]
    [InlineData("event.data.missing == 1 || true")]
    [InlineData("!(event.data.missing == 1 && false)")]
    [InlineData("-1 < 0 && 7 % 4 == 3 && 7 / 2 == 3")]
    [InlineData("string(true) == \"true\" && double(\"1.5\") == 1.5 && bool(\"true\")")]
    public void True_expressions_are_true(string expression)
    {
        Assert.True(Evaluate(expression));
    }

    [Theory]
    [InlineData("event.type == \"gadget\"")]
    [InlineData("event.data.count > 3")]
    [InlineData("event.type == 1")]
    [InlineData("has(event.data.missing) && event.data.missing == 1")]
    public void False_expressions_are_false(string expression)
    {
        Assert.False(Evaluate(expression));
    }

    [Theory]
    [InlineData("event.data.missing == 1", "missing")]
    [InlineData("event.type == widget", "widget")]
    [InlineData("event.type", "boolean")]
    [InlineData("event.type > 1", "compared")]
    [InlineData("1 / 0 == 1", "zero")]
    public void What_cannot_be_evaluated_says_why(string expression, string why)
    {
        var error = Assert.Throws<CelException>(() => Evaluate(expression));

        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("event.type ==")]
    [InlineData("event.type == \"open")]
    [InlineData("(event.type")]
    [InlineData("event.type = 1")]
    [InlineData("nosuch(event)")]
    [InlineData("has(event)")]
    [InlineData("size()")]
    [InlineData("event..type")]
    [InlineData("1 2")]
    public void What_is_no_expression_is_refused_when_read(string text)
    {
        var error = Assert.Throws<CelException>(() => CelExpression.Parse(text));

        Assert.Contains("not an expression", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Hostile_nesting_is_refused_and_does_not_exhaust_the_stack()
    {
        Assert.Throws<CelException>(() => CelExpression.Parse(new string('(', 100_000)));
        Assert.Throws<CelException>(() => CelExpression.Parse(new string('!', 100_000)));
    }

    private static bool Evaluate(string expression)
    {
        using JsonDocument document = JsonDocument.Parse(Event);
        return CelExpression.Parse(expression).IsTrue(new Dictionary<string, object?> { ["event"] = document.RootElement });
    }
}
