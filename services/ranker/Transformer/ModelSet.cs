using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// The versions that can score: a few, each loaded, verified and warm before it is here. One of them is live, for requests that
/// name none. A request takes a use of its version and gives it back at its end.
/// </summary>
internal sealed class ModelSet(int modelsMax, RankerMetrics metrics) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<LoadedModel> _models = []; // most recently used first, under _gate
    private string _live = "";                       // under _gate
    private (long TimeMs, uint Tie) _liveSince;      // order of the change that made it live, under _gate

    /// <summary>Version for requests that name none; empty where no model is loaded.</summary>
    public string Live
    {
        get { lock (_gate) return _live; }
    }

    /// <summary>Loaded versions, the live one first.</summary>
    public IReadOnlyList<string> Versions
    {
        get { lock (_gate) return [.. _models.Select(model => model.Version).OrderByDescending(version => version == _live)]; }
    }

    /// <summary>The model of a version, the live one where it is empty, with a use that the caller releases. Null where it is not loaded.</summary>
    public LoadedModel? TryAcquire(string version)
    {
        lock (_gate)
        {
            string wanted = version.Length > 0 ? version : _live;
            int index = _models.FindIndex(model => model.Version == wanted);
            if (index < 0) return null;
            LoadedModel model = _models[index];
            _models.RemoveAt(index);
            _models.Insert(0, model);
            return model.Share();
        }
    }

    /// <summary>Takes a warm model in; what there is no room for leaves once no request uses it.</summary>
    public void Add(LoadedModel model)
    {
        var leaving = new List<LoadedModel>();
        lock (_gate)
        {
            if (_models.Any(held => held.Version == model.Version)) leaving.Add(model);
            else _models.Insert(0, model);
            if (_live.Length == 0) _live = model.Version;
            Trim(keep: model.Version, leaving);
        }

        foreach (LoadedModel gone in leaving) gone.Dispose();
    }

    /// <summary>Makes a loaded version live; a change older than the last one changes nothing.</summary>
    /// <param name="order">See <see cref="Contracts.ModelChangeRules.OrderOf"/>.</param>
    public bool TryMakeLive(string version, (long TimeMs, uint Tie) order)
    {
        var leaving = new List<LoadedModel>();
        lock (_gate)
        {
            if (order.CompareTo(_liveSince) < 0 || _models.All(model => model.Version != version)) return false;
            _live = version;
            _liveSince = order;
            Trim(keep: version, leaving); // with room for one, the live one before was kept until here
        }

        foreach (LoadedModel gone in leaving) gone.Dispose();
        return true;
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (LoadedModel model in _models) model.Dispose();
            _models.Clear();
        }
    }

    // Under the lock.
    private void Trim(string keep, List<LoadedModel> leaving)
    {
        for (int i = _models.Count - 1; i >= 0 && _models.Count > modelsMax; i--)
        {
            if (_models[i].Version == _live || _models[i].Version == keep) continue;
            leaving.Add(_models[i]);
            _models.RemoveAt(i);
        }

        metrics.ModelsLoaded = _models.Count;
    }
}
