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
/// Where the rows that the filter admits are known before, the beam is constrained to the prefixes that hold them: it meets no other, and gives what
/// a search of unlimited looks gives without, with the same probabilities, as the other prefixes take part in the sums. Its looks are bounded by the
/// tree then: it follows a prefix once at most, and only above such rows.
/// For one request and one thread.
/// </summary>
/// <param name="eligible">All rows that the filter admits, with codes or without, in any order, which changes; null where they are not known.</param>
internal sealed class BeamSearch(PrefixTree tree, ICodeDecoding decoding, RowFilter filter, BeamShape shape, long nowMs, List<Seen>? eligible = null)
{
    private readonly PriorityQueue<Hypothesis, Hypothesis> _open = new();
    private readonly List<Hypothesis> _leftOut = [];
    private readonly int[] _followed = new int[tree.DepthMax + 2]; // prefixes of each length, since the beam was last widened
    private readonly uint[] _codes = new uint[tree.DepthMax];

    // The ways on from one prefix, while it is followed.
    private readonly List<CodeChoice> _choices = [];
    private readonly List<Step> _steps = [];
    private double[] _scores = new double[256];
    private long[] _nextCodes = [];
    private readonly Dictionary<long, ArraySegment<Seen>> _under = []; // eligible rows by their next code

    /// <summary>Prefixes and rows looked at so far.</summary>
    public int Looks { get; private set; } = eligible?.Count ?? 0;

    /// <summary>Whether something was left unseen: looks were spent, or a prefix had more rows than may be looked at.</summary>
    public bool HasCutOff { get; private set; }

    /// <summary>Complete prefixes, likeliest first, none without rows.</summary>
    /// <param name="rowsWanted">Rows under them together at which there are enough, where there are Width prefixes too.</param>
    /// <exception cref="OperationCanceledException">The deadline passed.</exception>
    public List<Hypothesis> Run(int rowsWanted, CancellationToken deadline)
    {
        var complete = new List<Hypothesis>();
        int rows = 0;
        Open(new Hypothesis(tree.Root, eligible?.ToArray() ?? []));
        while ((complete.Count < shape.Width || rows < rowsWanted) && TakeLikeliest() is { } likeliest)
        {
            if (eligible is null && Looks >= shape.LooksMax)
            {
                HasCutOff = true;
                break;
            }

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
            if (!node.TryGetRows(out ReadOnlySpan<Row> rows)) return TryFollowChildren(hypothesis, node);
            hypothesis.Settle(eligible is null ? Admit(hypothesis, rows) : AdmitAgain(hypothesis));
            if (hypothesis.Rows.Count == 0) return false;
        }

        if (!IsComplete(hypothesis)) Group(hypothesis);
        return true;
    }

    private bool TryFollowChildren(Hypothesis hypothesis, PrefixNode node)
    {
        ReadOnlySpan<PrefixNode> children = node.Children;
        if (eligible is null) children = children[Cut(children.Length, shape.LooksMax - Looks)..];
        else FindUnder(hypothesis);
        Looks += children.Length;
        bool isAny = false;
        foreach (PrefixNode child in children)
        {
            int live = child.Live;
            if (live <= 0) continue;
            _choices.Add(new CodeChoice(child.Code, live, child.EngagementAt(nowMs, tree.HalfLifeMs)));
            ArraySegment<Seen> rows = default;
            bool isOpen = eligible is null || _under.TryGetValue(child.Code, out rows);
            _steps.Add(new Step(0, child.Code, isOpen ? child : null, rows)); // one that is not open counts in the sums only
            isAny |= isOpen;
        }

        return isAny;
    }

    // How many of so many are left out.
    private int Cut(int count, int most)
    {
        HasCutOff |= count > most;
        return Math.Max(0, count - most);
    }

    // Newest arrivals first, as many as may be looked at. A row may have moved to another prefix since: its own codes count.
    private ArraySegment<Seen> Admit(Hypothesis hypothesis, ReadOnlySpan<Row> rows)
    {
        ReadOnlySpan<uint> codes = hypothesis.CodesIn(_codes);
        int looks = rows.Length - Cut(rows.Length, Math.Min(shape.RowsPerPrefixMax, shape.LooksMax - Looks));
        var seen = new List<Seen>(Math.Min(looks, 2 * PrefixTree.BurstRows));
        for (int i = rows.Length - 1; i >= rows.Length - looks; i--)
        {
            if (rows[i].State is { } state && LiesUnder(state, hypothesis, codes) && filter.Admits(state)) seen.Add(new Seen(rows[i], state));
        }

        Looks += looks;
        return seen.ToArray();
    }

    // The rows that were found eligible, as they are now.
    private ArraySegment<Seen> AdmitAgain(Hypothesis hypothesis)
    {
        ReadOnlySpan<uint> codes = hypothesis.CodesIn(_codes);
        var seen = new List<Seen>(hypothesis.Rows.Count);
        foreach ((Row row, RowState before) in hypothesis.Rows)
        {
            if (row.State is not { } state || !LiesUnder(state, hypothesis, codes)) continue;
            if (ReferenceEquals(state, before) || filter.Admits(state)) seen.Add(new Seen(row, state));
        }

        return seen.ToArray();
    }

    private static bool LiesUnder(RowState state, Hypothesis hypothesis, ReadOnlySpan<uint> codes) =>
        state.Facts.Codes.Length > 0 && state.Facts.Codes.AsSpan().StartsWith(codes) && (!hypothesis.HasEnded || state.Facts.Codes.Length == codes.Length);

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
        FindUnder(hypothesis);
        foreach ((long code, ArraySegment<Seen> rows) in _under)
        {
            double engagement = 0;
            foreach (Seen seen in rows) engagement += seen.State.EngagementAt(nowMs, tree.HalfLifeMs);
            _choices.Add(new CodeChoice(code, rows.Count, Math.Max(0, engagement)));
            _steps.Add(new Step(0, code, null, rows));
        }
    }

    // Sorts the rows of a prefix by their next code, and tells which part of them has which.
    private void FindUnder(Hypothesis hypothesis)
    {
        ArraySegment<Seen> rows = hypothesis.Rows;
        if (_nextCodes.Length < rows.Count) _nextCodes = new long[Math.Max(rows.Count, 2 * PrefixTree.BurstRows)];
        Span<long> codes = _nextCodes.AsSpan(0, rows.Count);
        for (int i = 0; i < codes.Length; i++) codes[i] = PrefixTree.NextCode(rows[i].State.Facts.Codes, hypothesis.Depth);
        codes.Sort(rows.AsSpan());
        _under.Clear();
        for (int start = 0, end; start < codes.Length; start = end)
        {
            end = start + 1;
            while (end < codes.Length && codes[end] == codes[start]) end++;
            _under.Add(codes[start], rows[start..end]);
        }
    }

    private Step[] TakeSteps(Hypothesis hypothesis)
    {
        if (_scores.Length < _choices.Count) _scores = new double[2 * _choices.Count];
        Span<double> scores = _scores.AsSpan(0, _choices.Count);
        decoding.Score(hypothesis.CodesIn(_codes), CollectionsMarshal.AsSpan(_choices), scores);

        int kept = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            bool isOpen = _steps[i].Node is not null || _steps[i].Rows.Count > 0;
            if (isOpen && scores[i] > double.NegativeInfinity) _steps[kept++] = _steps[i] with { LogProbability = scores[i] }; // neither barred nor not a number
        }

        Step[] steps = [.. _steps.Take(kept)];
        Array.Sort(steps);
        return steps;
    }
}
