namespace Mesh.Benchmarks.Ann;

/// <summary>
/// An index of FAISS. Filters are selectors, or with <paramref name="isPost"/> more is fetched and the rest thrown away. Single queries
/// have two threads (parallel_mode 1 shares the lists among them; 0 uses one), as has an unfiltered batch. A search takes one selector, so a
/// filtered batch is searched by two processes of one thread, half of the queries each: no barrier, and no lock of Python.
/// </summary>
internal sealed class FaissWay(FaissPeer peer, string kind, int lists, bool isPost) : AnnWay(isPost ? $"{kind} {lists} post" : $"{kind} {lists}", kind == "hnsw" ? 4_096 : lists)
{
    // Below, what would have to be fetched is a large part of all rows.
    private const double PostPercentMin = 10;

    private readonly string _index = $"{kind}-{lists}";

    public override bool Serves(AnnFilterSet filters) => !isPost || (!filters.IsOpen && filters.Percent >= PostPercentMin);

    public override int Variants(AnnFilterSet filters, bool isBatch) => isBatch || kind == "hnsw" ? 1 : 2;

    public override string Describe(int knob, int variant) => $"{base.Describe(knob, variant)}{(variant == 1 ? " 2t" : "")}";

    public override Task<(int[][] Rows, double Seconds)> AnswerAsync(AnnFilterSet filters, int k, int knob, CancellationToken cancellation) =>
        peer.AnswerAsync(_index, isPost, filters, k, knob, cancellation);

    public override Task<double> RunAsync(AnnFilterSet filters, int k, int knob, bool isBatch, int variant, double seconds, CancellationToken cancellation) =>
        peer.RunAsync(_index, isPost, filters, k, knob, isBatch, variant, seconds, cancellation);
}
