using Mesh.Contracts;
using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Tests;

public sealed class HistoryDecoderTests
{
    private const double Prior = 0.5;

    [Fact]
    public void A_code_is_as_likely_as_witten_and_bell_say()
    {
        // Likes weigh 0.8: w = 1.6 under code 1 and 0.8 under code 2, so W = 2.4 and T = 2; q = (1, 0.5, 2.5) / 4.
        ICodeDecoding decoding = Begin(("a", "like"), ("b", "like"), ("c", "like"))!;

        Assert.Equal([(1.6 + (2 * 0.25)) / 4.4, (0.8 + (2 * 0.125)) / 4.4, 2 * 0.625 / 4.4], Score(decoding, [], [new(1, 2, 0), new(2, 1, 0), new(3, 1, 2)]), Close);
        Assert.Equal([0.25, 0.75], Score(decoding, [3], [new(1, 1, 0), new(2, 3, 0)]), Close);
        Assert.Equal([1], Score(decoding, [1, 5], [new(PrefixNode.End, 1, 0)]), Close);
    }

    [Fact]
    public void What_the_index_does_not_hold_takes_no_probability()
    {
        ICodeDecoding decoding = Begin(("a", "like"), ("b", "like"), ("c", "like"))!;

        Assert.Equal([(0.8 + (1 * 0.5)) / 1.8, 0.5 / 1.8], Score(decoding, [], [new(2, 1, 0), new(3, 1, 0)]), Close);
    }

    [Fact]
    public void A_dislike_bars_its_two_level_prefix_where_it_outweighs_the_likes_and_spares_the_topic()
    {
        ICodeDecoding decoding = Begin(("a", "not_interested"), ("b", "like"), ("c", "like"))!; // a and b lie under 1 5, 1 6

        Assert.Equal([0, 1], Score(decoding, [1], [new(5, 9, 9), new(6, 1, 0)]), Close);
        Assert.True(Score(decoding, [], [new(1, 9, 0), new(2, 1, 0)])[0] > 0);
        Assert.Null(Begin(("a", "not_interested")));
        Assert.Null(Begin());
    }

    [Fact]
    public void Probabilities_of_any_choices_sum_to_one()
    {
        var random = new Random(3);
        ICodeDecoding decoding = Begin(("a", "like"), ("b", "save"), ("c", "click"))!;
        for (int i = 0; i < 500; i++)
        {
            uint[] prefix = [.. Enumerable.Range(0, random.Next(4)).Select(_ => (uint)random.Next(7))];
            CodeChoice[] choices = [.. Enumerable.Range(-1, 1 + random.Next(1, 12)).Select(code => new CodeChoice(code, 1 + random.Next(1_000_000), random.Next(2) * random.NextDouble() * 1e12))];

            Assert.Equal(1, Score(decoding, prefix, choices).Sum(), 1e-9);
        }
    }

    private static ICodeDecoding? Begin(params (string Item, string Action)[] events)
    {
        LiveIndex index = Make.Index(Make.Row("a", codes: [1, 5]), Make.Row("b", codes: [1, 6]), Make.Row("c", codes: [2, 5]));
        UserInterest interest = UserInterest.From(index, Make.Sequence([.. events.Select(logged => (logged.Item, logged.Action, Make.Now))]), InterestShape.From(Make.Options));
        return new HistoryDecoder(Prior).Begin(new SourceQuery(index, interest, QueryVectors.None, [], RowFilter.Visible, Make.Now, Make.Now));
    }

    private static double[] Score(ICodeDecoding decoding, uint[] prefix, CodeChoice[] choices)
    {
        var scores = new double[choices.Length];
        decoding.Score(prefix, choices, scores);
        return [.. scores.Select(Math.Exp)];
    }

    private static bool Close(double expected, double actual) => Math.Abs(expected - actual) < 1e-6; // action weights are floats
}
