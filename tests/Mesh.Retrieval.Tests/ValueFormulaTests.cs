using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Mesh.Retrieval.Values;

namespace Mesh.Retrieval.Tests;

public sealed class ValueFormulaTests
{
    // Counts as of two half-lives (24 h each) before Now: a quarter of them is left.
    private const double Left = 0.25;

    private static readonly LiveIndex Index = Make.Index(Row());

    [Theory]
    [InlineData("similarity", 0.5)]
    [InlineData("1", 1)]
    [InlineData(".5", 0.5)]
    [InlineData("1.5e+2", 150)]
    [InlineData("25E-1", 2.5)]
    [InlineData("1 + 2 * 3", 7)]
    [InlineData("(1 + 2) * 3", 9)]
    [InlineData("8 - 4 - 2", 2)]
    [InlineData("8 / 4 / 2", 1)]
    [InlineData("2 - -3", 5)]
    [InlineData("--3", 3)]
    [InlineData("-(2 + 1) * 2", -6)]
    [InlineData("-2 * -3", 6)]
    [InlineData("min(3, 1, 2)", 1)]
    [InlineData("max(3, 1, 2, 7 - 1)", 6)]
    [InlineData("pow(2, 10)", 1024)]
    [InlineData("sqrt(16) + exp(0) + log1p(0)", 5)]
    [InlineData("log1p(1e-17)", 1e-17)]
    [InlineData("log1p(1e-9)", 1e-9)]
    [InlineData("log1p(1) + log1p(-0.5) + 1", 1)]
    [InlineData("log1p(1e15)", 34.538776394910684)]
    [InlineData("clamp(5, 0, 1)", 1)]
    [InlineData("clamp(-5, 0, 1)", 0)]
    [InlineData("clamp(0.5, 2, 1)", 1)]
    [InlineData("1 < 2", 1)]
    [InlineData("2 <= 1", 0)]
    [InlineData("2 >= 2", 1)]
    [InlineData("1 + 1 > 1", 1)]
    [InlineData("if(age_hours < 2, 10, 20)", 20)]
    [InlineData("if(age_hours >= 3, 10, 20)", 10)]
    [InlineData("if((1 < 2) * (2 < 1), 10, 20)", 20)]
    [InlineData("if(1 < 0, 1 / 0, 7)", 7)]
    [InlineData("age_hours", 3)]
    [InlineData("duration_seconds", 90)]
    [InlineData("in_network", 1)]
    [InlineData("count.like", 8 * Left)]
    [InlineData("count.impression", 40 * Left)]
    [InlineData("count.reply", 0)]
    [InlineData("count.save", 0)]
    [InlineData("rate.like", 0.2)]
    [InlineData("rate.report", 0.05)]
    [InlineData("rate.save", 0)]
    [InlineData("engagement", ((8 * 0.8f) + (2 * -1.8f)) * Left)]
    [InlineData("trending", (0.5 + (((8 * 0.8f) + (2 * -1.8f)) * Left)) / (1 + (3 / 72.0)))]
    [InlineData("\tsimilarity\n+ 0.3 * (count.like + 1) / (count.impression + 20)\r\n", 0.5 + (0.3 * 3 / 30))]
    public void A_formula_is_worth_what_it_says(string text, double expected)
    {
        (double value, int notFinite) = Evaluate(text);

        Assert.Equal(expected, value, Math.Max(Math.Abs(expected) * 1e-6, 1e-30));
        Assert.Equal(0, notFinite);
    }

    [Theory]
    [InlineData("1 / 0")]
    [InlineData("0 / 0")]
    [InlineData("-1 / 0")]
    [InlineData("sqrt(-1)")]
    [InlineData("log1p(-2)")]
    [InlineData("exp(1000)")]
    [InlineData("pow(-1, 0.5)")]
    [InlineData("0 / 0 < 1")]
    [InlineData("1 > 0 / 0")]
    [InlineData("if(0 / 0, 1, 2)")]
    [InlineData("if(0 / 0 > 1, 1, 2)")]
    [InlineData("min(0 / 0, 1)")]
    [InlineData("max(1, 0 / 0)")]
    [InlineData("clamp(0 / 0, 0, 1)")]
    [InlineData("1e308 * 10 - 1e308 * 10")]
    public void What_is_not_finite_is_the_worst_there_is_and_counted(string text)
    {
        (double value, int notFinite) = Evaluate(text);

        Assert.Equal(double.NegativeInfinity, value);
        Assert.Equal(1, notFinite);
    }

    [Theory]
    [InlineData("similarity +", "at position 12: found the end where a number, a name, '-' or '(' was expected")]
    [InlineData("* 2", "at position 0: found '*' where a number")]
    [InlineData("+2", "at position 0: found '+2' where a number")]
    [InlineData("2 2", "at position 2: found '2' where an operator or the end was expected")]
    [InlineData("2 ^ 2", "at position 2: found '^' where an operator or the end was expected")]
    [InlineData("(1 + 2", "at position 6: found the end where an operator or ')' was expected")]
    [InlineData("1)", "at position 1: found ')' where an operator or the end")]
    [InlineData("()", "at position 1: found ')' where a number")]
    [InlineData("1 < 2 < 3", "at position 6: found '<' where an operator or the end")]
    [InlineData("1 == 2", "at position 2: found '==' where an operator or the end")]
    [InlineData("2x", "at position 0: '2x' is not a number; numbers are written 12, 0.5 or 1e-3")]
    [InlineData("1 + 1.2.3", "at position 4: '1.2.3' is not a number")]
    [InlineData("1e-", "at position 0: '1e-' is not a number")]
    [InlineData("0x1f", "at position 0: '0x1f' is not a number")]
    [InlineData(".", "at position 0: '.' is not a number")]
    [InlineData("2 * 1e999", "at position 4: '1e999' is too large; the largest number is 1.79")]
    [InlineData("similarity + likes", "at position 13: 'likes' is not a name; names are similarity, age_hours, duration_seconds, engagement, trending, in_network, and rate.ACTION")]
    [InlineData("rate.lik", "at position 0: 'rate.lik' is not a name; names are similarity")]
    [InlineData("rate.impression", "at position 0: 'rate.impression' is not a name")]
    [InlineData("rate.", "at position 0: 'rate.' is not a name")]
    [InlineData("Similarity", "at position 0: 'Similarity' is not a name")]
    [InlineData("NaN", "at position 0: 'NaN' is not a name")]
    [InlineData("min", "at position 0: 'min' is a function and is not followed by '('")]
    [InlineData("sin(1)", "at position 0: 'sin' is not a function; functions are min, max, log1p, exp, sqrt, pow, clamp, if")]
    [InlineData("similarity(1)", "at position 0: 'similarity' is not a function")]
    [InlineData("1 + min(2)", "at position 4: 'min' has 1 values; it takes at least 2")]
    [InlineData("exp(1, 2)", "at position 0: 'exp' has 2 values; it takes 1")]
    [InlineData("clamp(1, 2)", "at position 0: 'clamp' has 2 values; it takes 3")]
    [InlineData("exp()", "at position 4: found ')' where a number")]
    [InlineData("pow(1 2)", "at position 6: found '2)' where an operator, ',' or ')' was expected")]
    [InlineData("pow(1,", "at position 6: found the end where a number")]
    [InlineData("1, 2", "at position 1: found ',' where an operator or the end")]
    [InlineData("similarité", "at position 0: 'similarit' is not a name")]
    [InlineData("\0", "at position 0: found '\0' where a number")]
    [InlineData("٣", "at position 0: found '٣' where a number")]
    public void A_wrong_formula_is_refused_with_its_position(string text, string expected)
    {
        Assert.False(ValueParser.TryParse(text, out ValueFormula? formula, out string fault));
        Assert.StartsWith(expected, fault, StringComparison.Ordinal);
        Assert.Null(formula);
    }

    [Fact]
    public void An_unknown_name_is_told_every_known_one()
    {
        Assert.False(ValueParser.TryParse("nonsense", out _, out string fault));

        Assert.All(ActionTaxonomy.Default.Names, action => Assert.Contains(action, fault, StringComparison.Ordinal));
        Assert.EndsWith("and count.impression", fault, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \n\t ")]
    public void A_blank_formula_is_none(string text)
    {
        Assert.True(ValueParser.TryParse(text, out ValueFormula? formula, out string fault));
        Assert.Null(formula);
        Assert.Equal("", fault);
    }

    [Fact]
    public void Depth_and_length_are_bounded_and_the_deepest_formula_evaluates()
    {
        string Nested(int depth) => $"{new string('(', depth - 1)}1{new string(')', depth - 1)}";
        string Called(int depth) => string.Concat(Enumerable.Repeat("clamp(1, 2, 3 < 4 + 5 * ", depth - 1)) + "1" + new string(')', depth - 1);
        string longest = $"{string.Concat(Enumerable.Repeat("1+", 499))}11";

        Assert.True(ValueParser.TryParse(Nested(32), out _, out _));
        Assert.False(ValueParser.TryParse(Nested(33), out _, out string deep));
        Assert.False(ValueParser.TryParse(new string('-', 32) + "1", out _, out _));
        Assert.False(ValueParser.TryParse(new string('(', 1_000), out _, out _));
        Assert.False(ValueParser.TryParse(longest + "1", out _, out string length));
        Assert.True(ValueParser.TryParse(Called(32), out ValueFormula? deepest, out _));

        Assert.Contains("deeper than 32", deep, StringComparison.Ordinal);
        Assert.Contains("1001 characters long; at most 1000", length, StringComparison.Ordinal);
        Assert.Equal(510, Evaluate(longest).Value);
        Assert.InRange(deepest!.OperandsMax, 31 * 5, 32 * 5);
        Assert.Equal(1, Evaluate(Called(32)).Value);
    }

    [Fact]
    public void Columns_are_read_once_and_counters_that_cannot_be_count_as_nothing()
    {
        Assert.True(ValueParser.TryParse("rate.like + rate.like * rate.reply", out ValueFormula? formula, out _));
        Assert.Equal(2, formula!.Columns.Length);

        ItemRow row = Row();
        row.Counters.Counts.Clear();
        row.Counters.Counts.AddRange([-3, float.NaN, float.PositiveInfinity]);

        foreach (string name in new[] { "count.like", "count.reply", "count.repost", "count.report", "rate.like" })
        {
            Assert.Equal((0, 0), Evaluate(name, Make.Index(row)));
        }
    }

    [Fact]
    public void An_age_counts_from_the_request_and_never_below_zero()
    {
        LiveIndex index = Make.Index(Make.Row("later", createdAtMs: Make.Now + Make.Hour));

        Assert.Equal((0, 0), Evaluate("age_hours", index));
    }

    [Fact]
    public void A_formula_agrees_with_a_naive_evaluation_of_its_tree()
    {
        var random = new Random(11);
        int finite = 0;
        for (int round = 0; round < 3_000; round++)
        {
            Tree tree = Tree.Random(random, depth: 5);
            string text = tree.Print(random);
            if (text.Length > ValueParser.LengthMax) continue;
            var row = (Similarity: random.NextDouble(), Age: random.NextDouble() * 100);

            Assert.True(ValueParser.TryParse(text, out ValueFormula? formula, out string fault), $"{text}: {fault}");
            double[] columns = new double[formula!.Columns.Length];
            for (int i = 0; i < columns.Length; i++) columns[i] = formula.Columns[i].Field == ValueField.Similarity ? row.Similarity : row.Age;
            double value = formula.Evaluate(columns, new double[formula.OperandsMax]);

            Assert.Equal(tree.Value(row.Similarity, row.Age), value);
            if (double.IsFinite(value)) finite++;
        }

        Assert.True(finite > 1_000, $"only {finite} values were finite");
    }

    [Fact]
    public void Text_of_any_kind_is_parsed_or_refused_and_never_throws()
    {
        var random = new Random(5);
        string[] parts = ["(", ")", ",", "+", "-", "*", "/", "<", "<=", ">", "1", ".", "e", "1e", " ", "min", "max(", "if(", "clamp", "similarity", "rate.", "like", "\0", "é", "\ud800"];
        int parsed = 0;
        for (int round = 0; round < 20_000; round++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => parts[random.Next(parts.Length)]));
            bool ok = ValueParser.TryParse(text, out ValueFormula? formula, out string fault);
            if (ok) parsed++;
            Assert.Equal(ok, fault.Length == 0);
            if (!ok) Assert.Null(formula);
        }

        Assert.InRange(parsed, 100, 19_000);
    }

    [Fact]
    public void A_row_costs_no_allocation()
    {
        Assert.True(ValueParser.TryParse("similarity + 0.3 * rate.like + count.save / (age_hours + in_network + trending)", out ValueFormula? formula, out _));
        var scan = new ValueScan(formula!, Query(Index));
        RowState state = Index.Find("row")!;
        double sum = scan.Of(state, 0.5);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1_000; i++) sum += scan.Of(state, 0.5);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(double.IsFinite(sum));
        Assert.Equal(0, allocated);
    }

    private static ItemRow Row()
    {
        ItemRow row = Make.Row("row", "ann", createdAtMs: Make.Now - (3 * Make.Hour));
        row.Item.DurationMs = 90_000;
        row.Counters = Make.Counters(likes: 8, reports: 2, asOfMs: Make.Now - (48 * Make.Hour));
        row.Counters.Counts[ActionTaxonomy.Default.ImpressionIndex] = 40;
        return row;
    }

    private static (double Value, int NotFinite) Evaluate(string text, LiveIndex? index = null)
    {
        Assert.True(ValueParser.TryParse(text, out ValueFormula? formula, out string fault), fault);
        index ??= Index;
        var scan = new ValueScan(formula!, Query(index));
        double value = scan.Of(index.Vectors.Live().Single().State, 0.5);
        return (value, scan.NotFinite);
    }

    private static SourceQuery Query(LiveIndex index)
    {
        UserInterest interest = UserInterest.From(index, null, InterestShape.From(new RetrievalOptions()));
        return new SourceQuery(index, interest, interest.Means, ["ann"], RowFilter.Visible, Make.Now, Make.Now);
    }

    // The language once more, as a tree that is evaluated by recursion: no steps, no precedence, no stack.
    private sealed record Tree(string Operator, Tree[] Parts, double Number = 0)
    {
        private static readonly (string Name, int Parts)[] Operators =
        [
            ("+", 2), ("-", 2), ("*", 2), ("/", 2), ("<", 2), ("<=", 2), (">", 2), (">=", 2), ("negate", 1), ("min", 2), ("max", 3), ("pow", 2),
            ("log1p", 1), ("exp", 1), ("sqrt", 1), ("clamp", 3), ("if", 3),
        ];

        public static Tree Random(Random random, int depth)
        {
            if (depth == 0 || random.Next(5) == 0)
            {
                return random.Next(3) switch
                {
                    0 => new Tree("similarity", []),
                    1 => new Tree("age_hours", []),
                    _ => new Tree("number", [], random.Next(5) * 0.75),
                };
            }

            (string name, int parts) = Operators[random.Next(Operators.Length)];
            return new Tree(name, [.. Enumerable.Range(0, parts).Select(_ => Random(random, depth - 1))]);
        }

        public double Value(double similarity, double age)
        {
            double[] p = [.. Parts.Select(part => part.Value(similarity, age))];
            return Operator switch
            {
                "similarity" => similarity,
                "age_hours" => age,
                "number" => Number,
                "+" => p[0] + p[1],
                "-" => p[0] - p[1],
                "*" => p[0] * p[1],
                "/" => p[0] / p[1],
                "<" or "<=" or ">" or ">=" when p.Any(double.IsNaN) => double.NaN,
                "<" => p[0] < p[1] ? 1 : 0,
                "<=" => p[0] <= p[1] ? 1 : 0,
                ">" => p[0] > p[1] ? 1 : 0,
                ">=" => p[0] >= p[1] ? 1 : 0,
                "negate" => -p[0],
                "min" => p.Any(double.IsNaN) ? double.NaN : p.Min(),
                "max" => p.Any(double.IsNaN) ? double.NaN : p.Max(),
                "pow" => Math.Pow(p[0], p[1]),
                "log1p" => ValueFormula.Log1p(p[0]),
                "exp" => Math.Exp(p[0]),
                "sqrt" => Math.Sqrt(p[0]),
                "clamp" => p.Any(double.IsNaN) ? double.NaN : p[0] > p[2] || p[1] > p[2] ? p[2] : p[0] < p[1] ? p[1] : p[0],
                _ => double.IsNaN(p[0]) ? double.NaN : p[0] != 0 ? p[1] : p[2],
            };
        }

        public string Print(Random random)
        {
            string blank = random.Next(2) == 0 ? " " : "";
            return Operator switch
            {
                "similarity" or "age_hours" => Operator,
                "number" => Number.ToString(System.Globalization.CultureInfo.InvariantCulture),
                "negate" => $"-{Parts[0].Inside(random)}",
                "+" or "-" or "*" or "/" or "<" or "<=" or ">" or ">=" => $"{Parts[0].Inside(random)}{blank}{Operator}{blank}{Parts[1].Inside(random)}",
                _ => $"{Operator}({string.Join($"{blank},", Parts.Select(part => part.Print(random)))}{blank})",
            };
        }

        // Parentheses wherever precedence could matter, and sometimes where it cannot.
        private string Inside(Random random) =>
            Operator is "similarity" or "age_hours" or "number" && random.Next(4) > 0 ? Print(random) : $"({Print(random)})";
    }
}
