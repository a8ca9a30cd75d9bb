namespace Mesh.Sidecar.Actors;

/// <summary>
/// Placement within one process: which sidecar hosts an actor. Of several apps that host a type, the actor's id decides, so
/// that one actor is only ever in one place. One instance for all sidecars of a process.
/// </summary>
internal sealed class ActorDirectory
{
    private readonly Lock _gate = new();
    private volatile Dictionary<string, ActorHost[]> _hosts = new(StringComparer.Ordinal); // replaced whole under the gate, read without it
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ActorHost? Find(ActorKey actor)
    {
        if (!_hosts.TryGetValue(actor.Type, out ActorHost[]? hosts)) return null;
        if (hosts.Length == 1) return hosts[0];

        uint hash = 2_166_136_261; // FNV-1a: the same in every process and run, unlike string.GetHashCode
        foreach (char letter in actor.Id) hash = (hash ^ letter) * 16_777_619;
        return hosts[hash % (uint)hosts.Length];
    }

    /// <summary>Completes at the next change; take it before looking.</summary>
    public Task Changed
    {
        get
        {
            lock (_gate) return _changed.Task;
        }
    }

    /// <summary>Sets the types that a host has; those that it had and has no more are taken out.</summary>
    public void Register(ActorHost host, IEnumerable<string> types)
    {
        HashSet<string> has = [.. types];
        lock (_gate)
        {
            var hosts = new Dictionary<string, ActorHost[]>(StringComparer.Ordinal);
            foreach (string type in _hosts.Keys.Union(has))
            {
                IEnumerable<ActorHost> others = _hosts.GetValueOrDefault(type, []).Where(other => other != host);
                ActorHost[] all = [.. (has.Contains(type) ? others.Append(host) : others).OrderBy(one => one.AppId, StringComparer.Ordinal)];
                if (all.Length > 0) hosts[type] = all;
            }

            _hosts = hosts;
            _changed.SetResult();
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    public void Remove(ActorHost host) => Register(host, []);
}
