namespace Mesh.Sidecar.PubSub.Routing;

/// <summary>
/// A subset of Google's Common Expression Language: what routing rules and circuit breakers need. Literals, variables, field and
/// index access, <c>! - * / % + == != &lt; &lt;= &gt; &gt;= in &amp;&amp; || ?:</c>, list literals, <c>has()</c>, <c>size()</c>, conversions
/// (<c>int uint double string bool</c>) and the string methods <c>startsWith endsWith contains matches size</c>. Numbers of
/// different types compare by value.
/// </summary>
public sealed class CelExpression
{
    private readonly CelNode _root;

    private CelExpression(string text, CelNode root)
    {
        Text = text;
        _root = root;
    }

    public string Text { get; }

    /// <exception cref="CelException">The text is no expression of this subset; the message says where and why.</exception>
    public static CelExpression Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new CelExpression(text, new CelParser(text).Parse());
    }

    /// <summary>Evaluates to a boolean.</summary>
    /// <param name="variables">Values by name: bool, long, double, string, null, or JsonElement.</param>
    /// <exception cref="CelException">It refers to what is not there, mixes types, or is no boolean.</exception>
    public bool IsTrue(IReadOnlyDictionary<string, object?> variables) => _root.Evaluate(variables) switch
    {
        bool value => value,
        CelError error => throw new CelException($"'{Text}': {error.Message}"),
        var other => throw new CelException($"the result of match expression '{Text}' was not a boolean but {CelValue.TypeName(other)}"),
    };
}

/// <summary>An expression that cannot be read or evaluated.</summary>
public sealed class CelException(string message) : Exception(message);

/// <summary>A failed evaluation as a value: <c>&amp;&amp;</c> and <c>||</c> absorb it where the other side decides alone.</summary>
internal sealed record CelError(string Message);

internal abstract class CelNode
{
    public abstract object? Evaluate(IReadOnlyDictionary<string, object?> variables);
}
