using Mesh.Inference;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>
/// Encoders of the packages under Models:Root, each opened once, and hashing where no model is configured. An encoder that falls out of
/// the few that are kept is not closed, as a shard may still use it: the collector does that.
/// </summary>
internal sealed class PackageModels : IItemModels
{
    private const int KeptMax = 4;

    private readonly ModelFolder _folder;
    private readonly InferenceRuntime _inference;
    private readonly IndexUpdaterMetrics _metrics;
    private readonly ILogger<PackageModels> _logger;
    private readonly HashingItemEncoder _hashing = new();
    private readonly Lock _gate = new();
    private readonly List<PackageEncoder> _kept = []; // under the gate; the one used last is the last

    /// <exception cref="ModelRejectedException">The default package cannot be used, and is required.</exception>
    public PackageModels(ModelFolder folder, InferenceRuntime inference, IOptions<ModelsOptions> options, IndexUpdaterMetrics metrics, ILogger<PackageModels> logger)
    {
        (_folder, _inference, _metrics, _logger) = (folder, inference, metrics, logger);
        Default = _hashing;
        if (options.Value.Default.Length == 0)
        {
            Log.NoModel(logger, "Models:Default is empty", _hashing.ModelVersion);
            return;
        }

        try
        {
            Default = Keep(Load(folder.Resolve(options.Value.Default)));
        }
        catch (ModelRejectedException exception) when (!options.Value.Required)
        {
            Log.NoModel(logger, exception.Message, _hashing.ModelVersion);
        }
    }

    public IItemEncoder Default { get; }

    public IItemEncoder Open(string version, string path)
    {
        if (version == _hashing.ModelVersion) return _hashing;
        lock (_gate)
        {
            if (_kept.Find(encoder => encoder.ModelVersion == version) is { } kept) return Keep(kept);
            string folder = path.Length > 0
                ? _folder.Resolve(path)
                : _folder.FindVersion(version) ?? throw new ModelRejectedException($"No package under {_folder.Path} is {version}.") { MayCome = true };
            PackageEncoder encoder = Load(folder);
            return encoder.ModelVersion == version
                ? Keep(encoder)
                : throw new ModelRejectedException($"The package in {folder} is {encoder.ModelVersion}; {version} was asked for.");
        }
    }

    private PackageEncoder Load(string folder) => new(ModelPackage.Load(folder, ModelGraphs.Item, _inference, CancellationToken.None), _metrics, _logger);

    private PackageEncoder Keep(PackageEncoder encoder)
    {
        _kept.Remove(encoder);
        _kept.Add(encoder);
        if (_kept.Count > KeptMax) _kept.RemoveAt(0);
        return encoder;
    }
}
