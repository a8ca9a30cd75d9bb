using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Decoding;

/// <summary>
/// Next-code statistics: the user's own weighted counts under a prefix, smoothed by how its children do with everybody, as Witten and Bell do
/// (The zero-frequency problem, IEEE Trans. Inf. Theory 37(4), 1991; section 2 of Chen and Goodman, An empirical study of smoothing techniques
/// for language modeling, 1999):
///     P(c | prefix) = (w(c) + T q(c)) / (W + T)
/// w(c) = weight of the user's events under prefix and c (action x recency, <see cref="UserInterest"/>; <see cref="CodeHistory"/> nets
/// the dislikes), W its sum over the choices, T = the number of choices with w above 0, and q(c) = what everybody gives c: (prior x items +
/// engagement), normalised. Under a prefix that the user never met P is q. Nothing is trained: q follows the delta stream, so a new item
/// is found as soon as its delta is applied, and the more evidence of the user there is, and the newer, the less q counts.
/// </summary>
/// <param name="prior">Engagement that each item is credited with, as the trending score does.</param>
internal sealed class HistoryDecoder(double prior) : ICodeDecoder
{
    public ICodeDecoding? Begin(SourceQuery query)
    {
        var history = CodeHistory.Of(query.Interest.Weighed, query.Index.Prefixes.DepthMax);
        return history.Weight > 0 ? new Decoding(history, prior) : null;
    }

    private sealed class Decoding(CodeHistory history, double prior) : ICodeDecoding
    {
        public void Score(ReadOnlySpan<uint> prefix, ReadOnlySpan<CodeChoice> choices, Span<double> logProbabilities)
        {
            CodeHistory? here = history.Below(prefix);
            (double weight, int types, double everybodys) = Sum(here, choices);
            for (int i = 0; i < choices.Length; i++)
            {
                CodeHistory? next = here?.Next(choices[i].Code);
                double q = Everybodys(choices[i]) / everybodys;
                double probability = types == 0 ? q : ((next?.Weight ?? 0) + (types * q)) / (weight + types);
                logProbabilities[i] = next is { IsBarred: true } ? double.NegativeInfinity : Math.Log(probability);
            }
        }

        private (double Weight, int Types, double Everybodys) Sum(CodeHistory? here, ReadOnlySpan<CodeChoice> choices)
        {
            (double weight, int types, double everybodys) = (0, 0, 0);
            foreach (CodeChoice choice in choices)
            {
                CodeHistory? next = here?.Next(choice.Code);
                if (next is { IsBarred: true }) continue;
                everybodys += Everybodys(choice);
                if (next is not { Weight: > 0 }) continue;
                weight += next.Weight;
                types++;
            }

            return (weight, types, everybodys);
        }

        private double Everybodys(CodeChoice choice) => (prior * choice.Rows) + choice.Engagement;
    }
}
