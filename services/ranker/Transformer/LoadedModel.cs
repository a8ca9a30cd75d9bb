using Mesh.Inference;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// A model that is warm. The set that serves it owns it; each request and each run holds a lease. The last to let go disposes of
/// the model, so that no version vanishes below a running request.
/// </summary>
internal sealed class LoadedModel(IRankModel model, string path, Breaker breaker) : Leased
{
    public IRankModel Model => model;

    public string Version => model.Version;

    /// <summary>Folder of the package under Models:Root.</summary>
    public string Path => path;

    public Breaker Breaker => breaker;

    /// <summary>One more lease. The caller must hold one, or the lock of the set that owns it.</summary>
    public LoadedModel Share()
    {
        LeaseAgain();
        return this;
    }

    protected override void Release() => model.Dispose();
}
