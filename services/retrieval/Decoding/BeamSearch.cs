using System.Runtime.InteropServices;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Decoding;

/// <summary>How the beam searches; see <see cref="RetrievalOptions"/>. Its depth is the tree's.</summary>
internal sealed record BeamShape(int Width, int LooksMax, int RowsPerPrefixMax)
{
    public static BeamShape From(RetrievalOptions options) => new(options.BeamWidth, options.BeamLooksMax, options.PrefixScanMax);
}

/// <summary>
/// Beam search over the semantic IDs that the index holds: the complete ones that a decoder finds most likely, each with the rows under it
/// that the filter admits. Best first (Meister, Vieira and Cotterell, Best-first beam search, TACL 2020): always the likeliest open prefix
/// next, at most Width of each length, which gives what a beam that goes length by length gives, in fewer steps. Two departures:
/// a prefix under which the filter admits nothing takes no place, and where the beam ends with too few rows the search goes
/// on with the likeliest prefixes that it had left out, until it has enough, all there is, or spent its looks.
/// What was left out goes on from the longest: for 300 of 1,000,000 items under 256 x 256 x 256 codes, width 64, a search then looks at
/// 21,000 prefixes and rows, and at 65,000 where all lengths are taken up again.
/// For one request and one thread.
/// </summary>
internal sealed class BeamSearch(PrefixTree tree, ICodeDecoding decoding, RowFilter filter, BeamShape shape, long nowMs)
{
    private readonly PriorityQueue<Hypothesis, Hypothesis> _open = new();
    private readonly List<Hypothesis> _leftOut = [];
    private readonly int[] _followed = new int[tree.DepthMax + 2]; // prefixes of each length, since the beam was last widened
    private readonly uint[] _codes = new uint[tree.DepthMax];

    // The ways on from one prefix, while it is followed.
    private readonly List<CodeChoice> _choices = [];
    private readonly List<Step> _steps = [];
    private double[] _scores = new double[256];

    /// <summary>Prefixes and rows looked at so far.</summary>
    public int Looks { get; private set; }

    /// <summary>Complete prefixes, likeliest first, none without rows.</summary>
    /// <param name="rowsWanted">Rows under them together at which there are enough, where there are Width prefixes too.</param>
    /// <exception cref="OperationCanceledException">The deadline passed.</exception>
    public List<Hypothesis> Run(int rowsWanted, CancellationToken deadline)
    {
        var complete = new List<Hypothesis>();
        int rows = 0;
        Open(new Hypothesis(tree.Root));
        while ((complete.Count < shape.Width || rows < rowsWanted) && Looks < shape.LooksMax && TakeLikeliest() is { } likeliest)
        {
            deadline.ThrowIfCancellationRequested();
            if (!TryFollow(likeliest)) continue;
            _followed[likeliest.Length]++;
            if (_steps.Count > 0)
            {
                Open(likeliest.Continue(TakeSteps(likeliest)));
                continue;
            }

            complete.Add(likeliest);
            rows += likeliest.Rows.Count;
        }

        complete.Sort();
        return complete;
    }

    /// <summary>A number for the prefix's codes, the same wherever they are found, not 0: a hash (FNV-1a), so two may rarely share one.</summary>
    public int NameOf(Hypothesis prefix)
    {
        uint hash = 2_166_136_261;
        foreach (uint code in prefix.CodesIn(_codes)) hash = (hash ^ code) * 16_777_619;
        return (int)(hash | 1);
    }

    private void Open(Hypothesis? hypothesis)
    {
        if (hypothesis is not null) _open.Enqueue(hypothesis, hypothesis);
    }

    // Null where nothing is left, on the beam or beside it.
    private Hypothesis? TakeLikeliest()
    {
        while (true)
        {
            if (_open.Count == 0) Widen();
            if (!_open.TryDequeue(out Hypothesis? likeliest, out _)) return null;
            if (_followed[likeliest.Length] < shape.Width)
            {
                Open(likeliest.Next());
                return likeliest;
            }

            _leftOut.Add(likeliest); // and with it the siblings that are less likely still
        }
    }

    // The longest first: they lie under what is followed already, so nothing above them has to be opened.
    private void Widen()
    {
        if (_leftOut.Count == 0) return;
        int longest = _leftOut.Max(static hypothesis => hypothesis.Length);
        Array.Clear(_followed, longest, _followed.Length - longest);
        foreach (Hypothesis hypothesis in _leftOut)
        {
            if (hypothesis.Length == longest) Open(hypothesis);
        }

        _leftOut.RemoveAll(hypothesis => hypothesis.Length == longest);
    }

    // The ways on go to _steps and _choices; none where the prefix is complete. False where the index holds nothing eligible under it.
    private bool TryFollow(Hypothesis hypothesis)
    {
        _steps.Clear();
        _choices.Clear();
        if (hypothesis.Node is { } node)
        {
            if (!node.TryGetRows(out ReadOnlySpan<Row> rows)) return TryFollowChildren(node);
            hypothesis.Settle(Admit(hypothesis, rows));
            if (hypothesis.Rows.Count == 0) return false;
        }

        if (!IsComplete(hypothesis)) Group(hypothesis);
        return true;
    }

    private bool TryFollowChildren(PrefixNode node)
    {
        ReadOnlySpan<PrefixNode> children = node.Children;
        children = children[Math.Max(0, children.Length - (shape.LooksMax - Looks))..];
        Looks += children.Length;
        foreach (PrefixNode child in children)
        {
            int live = child.Live;
            if (live <= 0) continue;
            _choices.Add(new CodeChoice(child.Code, live, child.EngagementAt(nowMs, tree.HalfLifeMs)));
            _steps.Add(new Step(0, child.Code, child, default));
        }

        return _steps.Count > 0;
    }

    // Newest arrivals first, as many as may be looked at. A row may have moved to another prefix since: its own codes count.
    private ArraySegment<Seen> Admit(Hypothesis hypothesis, ReadOnlySpan<Row> rows)
    {
        ReadOnlySpan<uint> codes = hypothesis.CodesIn(_codes);
        int looks = Math.Min(rows.Length, Math.Min(shape.RowsPerPrefixMax, shape.LooksMax - Looks));
        var seen = new List<Seen>(Math.Min(looks, 2 * PrefixTree.BurstRows));
        for (int i = rows.Length - 1; i >= rows.Length - looks; i--)
        {
            if (rows[i].State is not { } state || !state.Facts.Codes.AsSpan().StartsWith(codes)) continue;
            if ((!hypothesis.HasEnded || state.Facts.Codes.Length == codes.Length) && filter.Admits(state)) seen.Add(new Seen(rows[i], state));
        }

        Looks += looks;
        return seen.ToArray();
    }

    private bool IsComplete(Hypothesis hypothesis)
    {
        if (hypothesis.HasEnded || hypothesis.Depth == tree.DepthMax) return true;
        foreach (Seen seen in hypothesis.Rows)
        {
            if (seen.State.Facts.Codes.Length > hypothesis.Depth) return false;
        }

        return true;
    }

    private void Group(Hypothesis hypothesis)
    {
        int depth = hypothesis.Depth;
        ArraySegment<Seen> rows = hypothesis.Rows;
        rows.AsSpan().Sort((x, y) => CodeOf(x).CompareTo(CodeOf(y)));
        for (int start = 0, end; start < rows.Count; start = end)
        {
            long code = CodeOf(rows[start]);
            double engagement = 0;
            for (end = start; end < rows.Count && CodeOf(rows[end]) == code; end++) engagement += rows[end].State.EngagementAt(nowMs, tree.HalfLifeMs);
            _choices.Add(new CodeChoice(code, end - start, Math.Max(0, engagement)));
            _steps.Add(new Step(0, code, null, rows[start..end]));
        }

        long CodeOf(Seen seen) => PrefixTree.NextCode(seen.State.Facts.Codes, depth);
    }

    private Step[] TakeSteps(Hypothesis hypothesis)
    {
        if (_scores.Length < _choices.Count) _scores = new double[2 * _choices.Count];
        Span<double> scores = _scores.AsSpan(0, _choices.Count);
        decoding.Score(hypothesis.CodesIn(_codes), CollectionsMarshal.AsSpan(_choices), scores);

        int kept = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            if (scores[i] > double.NegativeInfinity) _steps[kept++] = _steps[i] with { LogProbability = scores[i] }; // neither barred nor not a number
        }

        Step[] steps = [.. _steps.Take(kept)];
        Array.Sort(steps);
        return steps;
    }
}
