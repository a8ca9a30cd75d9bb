namespace Mesh.IndexUpdater.Encoders;

/// <summary>The hashing encoder alone.</summary>
internal sealed class HashingModels : IItemModels
{
    public IItemEncoder Default { get; } = new HashingItemEncoder();

    public IItemEncoder Open(string version, string path) =>
        version == HashingItemEncoder.Version ? Default : throw new ModelRefusedException($"There is no model '{version}'.");
}
