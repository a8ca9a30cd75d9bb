using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Decoding;

/// <summary>
/// A user's history as a tree of semantic-ID prefixes with what the events under each weigh. A dislike speaks against the two-level prefix
/// around it, where it is set off against the likes, and against all below; not against a whole topic in which something else is liked.
/// </summary>
internal sealed class CodeHistory
{
    private const int NettedDepth = 2;

    private Dictionary<long, CodeHistory>? _next;
    private double _sum;

    private CodeHistory()
    {
    }

    /// <summary>What speaks for the prefix, 0 or more.</summary>
    public double Weight { get; private set; }

    /// <summary>Whether the user disliked what is here, and liked nothing to outweigh it.</summary>
    public bool IsBarred => Weight == 0 && _sum < 0;

    /// <param name="depthMax">Codes that make a path, as in the index's <see cref="PrefixTree"/>.</param>
    public static CodeHistory Of(IEnumerable<(uint[] Codes, double Weight)> weighed, int depthMax)
    {
        var root = new CodeHistory();
        foreach ((uint[] codes, double weight) in weighed) root.Add(codes, depthMax, weight);
        root.Net(depth: 0);
        return root;
    }

    /// <summary>The history below a prefix; null where there is none.</summary>
    public CodeHistory? Below(ReadOnlySpan<uint> prefix)
    {
        CodeHistory? node = this;
        foreach (uint code in prefix) node = node?.Next(code);
        return node;
    }

    /// <param name="code">A code, or <see cref="PrefixNode.End"/>.</param>
    public CodeHistory? Next(long code) => _next?.GetValueOrDefault(code);

    private void Add(uint[] codes, int depthMax, double weight)
    {
        if (codes.Length == 0) return;

        CodeHistory node = this;
        node._sum += weight;
        for (int depth = 0; depth < Math.Min(codes.Length + 1, depthMax); depth++)
        {
            node._next ??= [];
            long code = PrefixTree.NextCode(codes, depth);
            if (!node._next.TryGetValue(code, out CodeHistory? next)) node._next[code] = next = new CodeHistory();
            next._sum += weight;
            node = next;
        }
    }

    private double Net(int depth)
    {
        double below = 0;
        if (_next is not null)
        {
            foreach (CodeHistory next in _next.Values) below += next.Net(depth + 1);
        }

        return Weight = _next is not null && depth < NettedDepth ? below : Math.Max(0, _sum);
    }
}
