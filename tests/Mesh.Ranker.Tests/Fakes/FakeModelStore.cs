using System.Collections.Concurrent;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker.Tests.Fakes;

/// <summary>Packages in memory: folder name, version, and how to open one.</summary>
internal sealed class FakeModelStore : IModelStore
{
    private readonly ConcurrentDictionary<string, (string Version, Func<IRankModel> Open)> _packages = new(StringComparer.Ordinal);
    private int _searches, _loads;

    public string? DefaultPath { get; init; }

    public int Searches => Volatile.Read(ref _searches);

    public int Loads => Volatile.Read(ref _loads);

    /// <summary>A store with one package, which serves from the start.</summary>
    public static FakeModelStore With(FakeModel model)
    {
        var store = new FakeModelStore { DefaultPath = "mini" };
        store.Add("mini", model);
        return store;
    }

    public void Add(string path, FakeModel model) => _packages[path] = (model.Version, () => model);

    public void AddBroken(string path, string version, string reason) =>
        _packages[path] = (version, () => throw new ModelRefusedException(reason));

    public string? Find(string version)
    {
        Interlocked.Increment(ref _searches);
        return _packages.FirstOrDefault(package => package.Value.Version == version).Key;
    }

    public IRankModel Load(string path)
    {
        Interlocked.Increment(ref _loads);
        return _packages.TryGetValue(path, out var package) ? package.Open() : throw new ModelRefusedException($"{path} is not there.", mayCome: true);
    }
}
