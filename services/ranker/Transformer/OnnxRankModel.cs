using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Inference.Features;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// The two graphs of a package. Features are written straight into buffers that the graphs read in place; each thread that runs
/// them has its own. One context is handed to the graph where it lies; several are copied beside one another first.
/// </summary>
internal sealed class OnnxRankModel(ModelPackage package) : IRankModel
{
    private const string Probabilities = "probabilities";

    private readonly ThreadLocal<Buffers> _buffers = new(() => new Buffers(package));

    public string Version => package.Version;

    public ContextState Encode(Sequence? sequence, IReadOnlyList<HistoryItem> history)
    {
        var items = new Dictionary<string, HistoryItem>(history.Count, StringComparer.Ordinal);
        foreach (HistoryItem item in history) items[item.ItemId] = item;

        HistoryTensors tensors = _buffers.Value!.History;
        HistoryFeatures.Write(sequence, items, package.Manifest.Features, package.Manifest.SemanticIds, tensors, row: 0);
        Dictionary<string, TensorBuffer> state = package.ContextState.ToDictionary(spec => spec.Name, spec => spec.Allocate(1), StringComparer.Ordinal);
        package.Context.Run(tensors.ByName, state, CancellationToken.None);
        return new State(state);
    }

    public void Run(ReadOnlySpan<Chunk> chunks, int rows)
    {
        Buffers buffers = _buffers.Value!;
        CandidateTensors tensors = buffers.Candidates(chunks.Length, rows);
        var inputs = new Dictionary<string, TensorBuffer>(tensors.ByName, StringComparer.Ordinal);
        for (int i = 0; i < chunks.Length; i++) Write(chunks[i], tensors, i, rows);
        foreach (TensorSpec spec in package.ContextState) inputs[spec.Name] = buffers.Stack(spec, chunks);

        TensorBuffer output = buffers.Output(chunks.Length, rows);
        package.Candidates.Run(inputs, new Dictionary<string, TensorBuffer> { [Probabilities] = output }, CancellationToken.None);
        int width = output.Length / chunks.Length;
        for (int i = 0; i < chunks.Length; i++) output.Floats.Slice(i * width, chunks[i].Output.Length).CopyTo(chunks[i].Output.Span);
    }

    public void Dispose()
    {
        package.Dispose();
        _buffers.Dispose();
    }

    // What a short chunk leaves free keeps the rows of an earlier run: they are computed and not read.
    private void Write(Chunk chunk, CandidateTensors tensors, int batchRow, int rows)
    {
        (CandidateMoment moment, ModelManifest manifest) = (chunk.Rows.Moment, package.Manifest);
        tensors.Surfaces[batchRow] = CandidateFeatures.SurfaceOf(moment.Surface);
        for (int row = 0; row < chunk.Count; row++)
        {
            CandidateFeatures.Write(
                chunk.Rows[chunk.First + row], moment.NowMs, moment.CounterHalfLifeHours, manifest.Features, manifest.SemanticIds,
                tensors, (batchRow * rows) + row);
        }
    }

    private sealed class State(Dictionary<string, TensorBuffer> tensors) : ContextState
    {
        public TensorBuffer this[string name] => tensors[name];

        public override long Bytes { get; } = tensors.Values.Sum(tensor => (long)tensor.Bytes);
    }

    /// <summary>What one thread writes to and reads from; kept at the sizes that were needed.</summary>
    private sealed class Buffers(ModelPackage package)
    {
        private readonly Dictionary<(int Chunks, int Rows), CandidateTensors> _candidates = [];
        private readonly Dictionary<string, TensorBuffer> _stacked = new(StringComparer.Ordinal);
        private readonly TensorBuffer _output = new(TensorElement.Float, 1);

        public HistoryTensors History { get; } = new(package.Manifest.Features, package.Manifest.SemanticIds, batch: 1);

        public CandidateTensors Candidates(int chunks, int rows)
        {
            if (!_candidates.TryGetValue((chunks, rows), out CandidateTensors? tensors))
            {
                _candidates.Add((chunks, rows), tensors = new CandidateTensors(package.Manifest.SemanticIds, chunks, rows));
            }

            return tensors;
        }

        public TensorBuffer Stack(TensorSpec spec, ReadOnlySpan<Chunk> chunks)
        {
            if (chunks.Length == 1) return ((State)chunks[0].Context)[spec.Name];
            if (!_stacked.TryGetValue(spec.Name, out TensorBuffer? stacked)) _stacked.Add(spec.Name, stacked = spec.Allocate(chunks.Length));
            stacked.Reshape([chunks.Length, .. spec.Shape.Skip(1)]);
            for (int i = 0; i < chunks.Length; i++) ((State)chunks[i].Context)[spec.Name].Rows(0, 1).CopyTo(stacked.Rows(i, 1));
            return stacked;
        }

        public TensorBuffer Output(int chunks, int rows)
        {
            _output.Reshape(chunks, rows, ActionTaxonomy.Default.Count);
            return _output;
        }
    }
}
