using System.Diagnostics;
using Mesh.Contracts;
using Mesh.Inference.Features;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.Inference;

/// <summary>Which graphs of a package a service runs: these stay open.</summary>
[Flags]
public enum ModelGraphs
{
    None = 0,

    /// <summary>item.onnx: tokens to vector and codes.</summary>
    Item = 1,

    /// <summary>user.onnx: history to query vectors.</summary>
    User = 2,

    /// <summary>context.onnx and candidates.onnx.</summary>
    Ranking = 4,
}

/// <summary>
/// A model package that was checked whole: hashes, shapes, actions, version, and the golden pairs of all four graphs, whichever of
/// them the service runs. So no service puts a version live that another one refuses.
/// Several versions may be open at once; a hot swap disposes of the old one, and its leases end in their own time.
/// </summary>
public sealed class ModelPackage : Leased
{
    /// <summary>
    /// Fewest rows of a run of candidates.onnx and of item.onnx: a single row takes a matrix-vector path that differs in the last bit, so a lone
    /// candidate, or item, is padded to two rows.
    /// </summary>
    public const int RowsMin = 2;

    private const string CodebooksFile = "codebooks.safetensors";

    private readonly GraphSession?[] _graphs;

    private ModelPackage(string folder, ModelManifest manifest, ReadOnlyMemory<byte> manifestJson, GraphSession?[] graphs, IReadOnlyList<TensorSpec> state)
    {
        (Folder, Manifest, ManifestJson, _graphs, ContextState) = (folder, manifest, manifestJson, graphs, state);
    }

    public string Folder { get; }

    public ModelManifest Manifest { get; }

    /// <summary>manifest.json as it lies in the package, for snapshots.</summary>
    public ReadOnlyMemory<byte> ManifestJson { get; }

    public string Version => Manifest.Version;

    /// <summary>item.onnx: <c>tokens</c> [N,T] to <c>codes</c> [N,levels] and <c>vector</c> [N,dim].</summary>
    public GraphSession Item => Graph(0);

    /// <summary>user.onnx: the history to <c>vectors</c> [B,V,dim].</summary>
    public GraphSession User => Graph(1);

    /// <summary>context.onnx: the history to <see cref="ContextState"/>.</summary>
    public GraphSession Context => Graph(2);

    /// <summary>candidates.onnx: context state and candidates to <c>probabilities</c> [B,N,14].</summary>
    public GraphSession Candidates => Graph(3);

    /// <summary>What context.onnx gives and candidates.onnx takes; only the first dimension, B, is free. Empty without <see cref="ModelGraphs.Ranking"/>.</summary>
    public IReadOnlyList<TensorSpec> ContextState { get; }

    /// <summary>Checks a package whole and keeps the graphs asked for open. Reads files and runs graphs: not for a request's path.</summary>
    /// <exception cref="ModelRejectedException">It breaks a rule, or a graph fails its run; the message names file, value and rule.</exception>
    public static ModelPackage Load(string folder, ModelGraphs graphs, InferenceRuntime runtime, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(runtime);
        long started = Stopwatch.GetTimestamp();
        try
        {
            var opened = new GraphSession?[4];
            try
            {
                ModelPackage package = Load(folder, graphs, runtime, opened, out float difference, cancellation);
                Log.Loaded(runtime.Logger, package.Version, folder, Stopwatch.GetElapsedTime(started).TotalMilliseconds, graphs.ToString(), runtime.Provider, difference);
                return package;
            }
            catch
            {
                foreach (GraphSession? session in opened) session?.Dispose();
                throw;
            }
        }
        catch (Exception exception) when (ModelRejectedException.IsOfModel(exception))
        {
            throw new ModelRejectedException($"The model in {folder} is refused. {exception.Message}", exception);
        }
    }

    /// <summary>Reads the manifest of a package only, to see which version lies there.</summary>
    /// <exception cref="ModelRejectedException">There is none, or it breaks a rule.</exception>
    public static ModelManifest ReadManifest(string folder)
    {
        try
        {
            return ModelManifest.Read(ReadFile(folder, ModelManifest.FileName, ModelManifest.BytesMax));
        }
        catch (Exception exception) when (exception is not ModelRejectedException && ModelRejectedException.IsOfModel(exception))
        {
            throw new ModelRejectedException($"{folder} has no {ModelManifest.FileName} that can be read: {exception.Message}", exception);
        }
    }

    /// <summary>The bytes of a file of the package, such as user.onnx for a snapshot, checked against the manifest.</summary>
    public byte[] ReadFile(string name)
    {
        byte[] content = ReadFile(Folder, name, long.MaxValue);
        Manifest.Check(name, content);
        return content;
    }

    /// <summary>The codebooks that item.onnx quantises with.</summary>
    public ResidualCodebooks ReadCodebooks() => ReadCodebooks(ReadFile(CodebooksFile), Manifest);

    protected override void Release()
    {
        foreach (GraphSession? session in _graphs) session?.Dispose();
    }

    private GraphSession Graph(int index) => _graphs[index] ?? throw new InvalidOperationException($"The package {Version} was loaded without {GraphFiles.Names[index]}.");

    private static ModelPackage Load(string folder, ModelGraphs graphs, InferenceRuntime runtime, GraphSession?[] opened, out float difference, CancellationToken cancellation)
    {
        long bytesMax = runtime.Options.ModelFileMebibytesMax * 1024L * 1024;
        byte[] manifestJson = ReadFile(folder, ModelManifest.FileName, bytesMax);
        ModelManifest manifest = ModelManifest.Read(manifestJson);
        foreach (string name in GraphFiles.Names.Append(CodebooksFile).Append(GoldenCheck.FileName)) _ = manifest.Files.FirstOrDefault(file => file.Name == name)
            ?? throw new ModelRejectedException($"{ModelManifest.FileName} names no {name}; a package has {string.Join(", ", GraphFiles.Names)}, {CodebooksFile} and {GoldenCheck.FileName}.");

        // Every file is hashed and every graph run, here or not: a package is good as a whole or not at all.
        SafeTensors? check = null;
        foreach (ModelFile file in manifest.Files)
        {
            cancellation.ThrowIfCancellationRequested();
            byte[] content = ReadFile(folder, file.Name, bytesMax);
            manifest.Check(file.Name, content);
            int graph = Array.IndexOf(GraphFiles.Names, file.Name);
            if (graph >= 0) opened[graph] = runtime.Open(file.Name, content);
            if (file.Name == CodebooksFile) ReadCodebooks(content, manifest);
            if (file.Name == GoldenCheck.FileName) check = SafeTensors.Read(content);
        }

        IReadOnlyList<TensorSpec> state = StateOf(opened[2]!, check!);
        GraphContract.Check([.. opened.OfType<GraphSession>()], manifest, state);
        difference = 0;
        for (int graph = 0; graph < opened.Length; graph++)
        {
            GraphSession session = opened[graph]!;
            difference = Math.Max(difference, GoldenCheck.Run(session, check!, cancellation));
            if (graphs.HasFlag(GraphFiles.NeededFor[graph])) continue;
            session.Dispose();
            opened[graph] = null;
        }

        return new ModelPackage(folder, manifest, manifestJson, opened, graphs.HasFlag(ModelGraphs.Ranking) ? state : []);
    }

    // Exporters often leave inner dimensions of outputs unnamed; the golden pair says how long they are.
    private static TensorSpec[] StateOf(GraphSession context, SafeTensors check) =>
        [.. context.Outputs.Select(output => output with { Shape = [-1, .. GoldenCheck.OutputOf(context, output, check).Shape.Skip(1)] })];

    private static ResidualCodebooks ReadCodebooks(byte[] content, ModelManifest manifest)
    {
        SafeTensor tensor = SafeTensors.Read(content).Require("codebooks", TensorType.F32, manifest.SemanticIds.Levels, manifest.SemanticIds.CodesPerLevel, -1);
        return new ResidualCodebooks(manifest.SemanticIds.Levels, manifest.SemanticIds.CodesPerLevel, (int)tensor.Shape[2], tensor.Values<float>().ToArray());
    }

    private static byte[] ReadFile(string folder, string name, long bytesMax)
    {
        var file = new FileInfo(Path.Combine(folder, name));
        if (!file.Exists) throw new ModelRejectedException($"{name} is not there.");
        if (file.Length > bytesMax) throw new ModelRejectedException($"{name} has {file.Length} bytes; Inference:ModelFileMebibytesMax lets {bytesMax} pass.");
        return File.ReadAllBytes(file.FullName);
    }
}
