namespace Mesh.Ranker.Transformer;

/// <summary>
/// A model that is warm, with the count of who uses it. The set that serves it holds one use; each request and each run takes
/// another. The last to let go disposes it, so that no version vanishes below a running request.
/// </summary>
internal sealed class LoadedModel(IRankModel model, string path, Breaker breaker)
{
    private int _uses = 1; // interlocked; 0 = disposed

    public IRankModel Model => model;

    public string Version => model.Version;

    /// <summary>Folder of the package under Models:Root.</summary>
    public string Path => path;

    public Breaker Breaker => breaker;

    /// <summary>Takes one more use. The caller must hold one, or the lock of the set that does.</summary>
    public LoadedModel Share()
    {
        Interlocked.Increment(ref _uses);
        return this;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _uses) == 0) model.Dispose();
    }
}
