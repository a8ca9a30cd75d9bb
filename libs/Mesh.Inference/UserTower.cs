using Mesh.Contracts;
using Mesh.Inference.Features;

namespace Mesh.Inference;

/// <summary>
/// user.onnx by itself: turns a user's history into query vectors. A snapshot carries its bytes and its manifest beside the rows
/// that the vectors are compared with, so that tower and rows are always of one version.
/// </summary>
public sealed class UserTower : Leased
{
    private readonly GraphSession _graph;

    private UserTower(GraphSession graph, ModelManifest manifest) => (_graph, Manifest) = (graph, manifest);

    public ModelManifest Manifest { get; }

    /// <summary>Query vectors of a user.</summary>
    public int Vectors => Manifest.User.Vectors;

    public int Dimensions => Manifest.Item.Dimensions;

    /// <summary>Opens a tower and runs it once on a user without history.</summary>
    /// <exception cref="ModelRejectedException">The bytes are not those of the manifest, or the graph breaks a rule or fails its run.</exception>
    public static UserTower Open(byte[] graph, ReadOnlySpan<byte> manifestJson, InferenceRuntime runtime, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(runtime);
        ModelManifest manifest = ModelManifest.Read(manifestJson);
        manifest.Check(GraphFiles.User, graph);
        GraphSession? session = null;
        try
        {
            session = runtime.Open(GraphFiles.User, graph);
            GraphContract.CheckUser(session, manifest);
            var tower = new UserTower(session, manifest);
            tower.WarmUp(cancellation);
            return tower;
        }
        catch (Exception exception)
        {
            session?.Dispose();
            if (exception is ModelRejectedException || !ModelRejectedException.IsOfModel(exception)) throw;
            throw new ModelRejectedException($"{GraphFiles.User} of {manifest.Version} fails: {exception.Message}", exception);
        }
    }

    /// <summary>The query vectors of one user: V rows of norm 1.</summary>
    /// <param name="sequence">Oldest first; null is a user without history.</param>
    /// <param name="items">What the index knows of the items, by id; codes must be of this tower's version.</param>
    /// <exception cref="InvalidDataException">The graph gave what is not finite: of a vector with one NaN, no comparison is true.</exception>
    public async Task<float[]> EncodeAsync(Sequence? sequence, IReadOnlyDictionary<string, HistoryItem> items, CancellationToken cancellation)
    {
        var history = new HistoryTensors(Manifest.Features, Manifest.SemanticIds, batch: 1);
        HistoryFeatures.Write(sequence, items, Manifest.Features, Manifest.SemanticIds, history, row: 0);
        var vectors = new TensorBuffer(TensorElement.Float, 1, Vectors, Dimensions);
        await _graph.RunAsync(history.ByName, new Dictionary<string, TensorBuffer> { ["vectors"] = vectors }, cancellation);
        return CheckFinite(vectors.Floats).ToArray();
    }

    protected override void Release() => _graph.Dispose();

    private void WarmUp(CancellationToken cancellation)
    {
        var history = new HistoryTensors(Manifest.Features, Manifest.SemanticIds, batch: 1);
        var vectors = new TensorBuffer(TensorElement.Float, 1, Vectors, Dimensions);
        _graph.Run(history.ByName, new Dictionary<string, TensorBuffer> { ["vectors"] = vectors }, cancellation);
        CheckFinite(vectors.Floats);
    }

    private static Span<float> CheckFinite(Span<float> vectors)
    {
        foreach (float value in vectors)
        {
            if (!float.IsFinite(value)) throw new InvalidDataException($"it gives {value}; query vectors are finite.");
        }

        return vectors;
    }
}
