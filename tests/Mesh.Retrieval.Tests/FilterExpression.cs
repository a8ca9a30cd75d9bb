using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>The filter language once more, as a tree that is evaluated by recursion: no plan, no precedence, no stack.</summary>
internal sealed record FilterExpression(string Operator, FilterExpression? Left, FilterExpression? Right, string Field, string Value)
{
    private static readonly (string Field, string[] Values)[] Terms =
    [
        ("tag", ["tag-0", "tag-1", "tag-2", "rare-3", "rare-40", "nowhere"]), ("author", ["author-0", "author-1", "author-77"]), ("language", ["en", "DE"]),
        ("item", ["item-1", "item-2"]), ("attribute.colour", ["red", "blue"]), ("safety", ["SAFE", ""]),
    ];

    public static FilterExpression Random(Random random, int depth)
    {
        switch (depth == 0 ? 3 : random.Next(5))
        {
            case 0: return new FilterExpression("NOT", Random(random, depth - 1), null, "", "");
            case 1: return new FilterExpression("AND", Random(random, depth - 1), Random(random, depth - 1), "", "");
            case 2: return new FilterExpression("OR", Random(random, depth - 1), Random(random, depth - 1), "", "");
            default:
                (string field, string[] values) = Terms[random.Next(Terms.Length)];
                return new FilterExpression("", null, null, field, values[random.Next(values.Length)]);
        }
    }

    public bool Holds(RowState row) => Operator switch
    {
        "NOT" => !Left!.Holds(row),
        "AND" => Left!.Holds(row) && Right!.Holds(row),
        "OR" => Left!.Holds(row) || Right!.Holds(row),
        _ => Field switch
        {
            "tag" => row.Facts.Tags.Contains(Value),
            "author" => row.Facts.AuthorId == Value,
            "language" => row.Facts.Language.Equals(Value, StringComparison.OrdinalIgnoreCase),
            "item" => row.Facts.ItemId == Value,
            "safety" => row.Eligibility.Safety.Equals(Value, StringComparison.OrdinalIgnoreCase),
            _ => row.Facts.Attributes.Contains(new KeyValuePair<string, string>("colour", Value)),
        },
    };

    public string Print(Random random) => Operator switch
    {
        "NOT" => $"NOT {Left!.Inside(random)}",
        "AND" or "OR" => $"{Left!.Inside(random)} {Operator}{(random.Next(2) == 0 ? " " : "  \t")}{Right!.Inside(random)}",
        _ => random.Next(2) == 0 && Value.Length > 0 ? $"{Field}:{Value}" : $"{Field}:\"{Value}\"",
    };

    private string Inside(Random random) => Operator.Length > 0 || random.Next(4) == 0 ? $"( {Print(random)})" : Print(random);
}
