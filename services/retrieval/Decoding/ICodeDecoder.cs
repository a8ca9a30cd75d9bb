using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Decoding;

/// <summary>
/// Says how likely each next code of a semantic ID is for a user. <see cref="HistoryDecoder"/> counts; a trained decoder of a model package
/// would stand in its place, with the request's history as its context.
/// </summary>
internal interface ICodeDecoder
{
    /// <summary>Looks at the user once; null where nothing favourable is known of them.</summary>
    ICodeDecoding? Begin(SourceQuery query);
}

/// <summary>The decoder's view of one user. For one thread.</summary>
internal interface ICodeDecoding
{
    /// <summary>
    /// Writes ln P(choice | prefix, user) for each choice; negative infinity = not to be followed. The probabilities of the rest sum to 1:
    /// what the index does not hold is no choice, so no probability is lost on it.
    /// </summary>
    /// <param name="prefix">Codes so far, coarse to fine; empty at the root.</param>
    /// <param name="choices">What may come next: each code once, at least one, each with a live row.</param>
    /// <param name="logProbabilities">As long as choices.</param>
    void Score(ReadOnlySpan<uint> prefix, ReadOnlySpan<CodeChoice> choices, Span<double> logProbabilities);
}

/// <summary>A code that may come next, and how its items do with everybody.</summary>
/// <param name="Code">The code, or <see cref="PrefixNode.End"/>.</param>
/// <param name="Rows">Rows under it, 1 or more.</param>
/// <param name="Engagement">Sum of their engagement as of the request, not below 0.</param>
internal readonly record struct CodeChoice(long Code, int Rows, double Engagement);
