using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// One encoded sequence, or the encoding that is under way. It keeps what it was made from: a score that names only the
/// context can still fall back to the heuristic.
/// </summary>
internal sealed record ContextEntry(
    string Id, string UserId, string ModelVersion, Sequence? Sequence, IReadOnlyList<HistoryItem> History, Task<ContextState> State, Waiters Waiters)
{
    // A message's objects take about six times its wire size (512 events with history: 49 KB on the wire, 290 KB on the heap).
    private const int ObjectsPerWireByte = 6;
    private const int Overhead = 512;

    /// <summary>What the messages take, estimated; the state is added once it is there.</summary>
    public long MessageBytes { get; } =
        Overhead + (ObjectsPerWireByte * ((Sequence?.CalculateSize() ?? 0) + History.Sum(item => (long)item.CalculateSize())));

    /// <summary>Counts the caller among those who wait. Who began the encoding is counted already.</summary>
    public ContextEntry Join()
    {
        Waiters.Join();
        return this;
    }

    /// <summary>The state, once it is there. A caller that is counted leaves with this, whatever comes.</summary>
    /// <exception cref="FallbackException">It could not be encoded.</exception>
    public async Task<ContextState> WaitAsync(CancellationToken cutoff)
    {
        try
        {
            return await State.WaitAsync(cutoff);
        }
        finally
        {
            Waiters.Leave();
        }
    }
}

/// <summary>
/// Encoded sequences by <see cref="ContextId"/>, least recently used out first, bounded by entries and by bytes. The task is
/// stored before the encoding has run, so prepare and score that race encode once, also where the score has no name yet and
/// carries the sequence; a failed one is forgotten.
/// </summary>
internal sealed class ContextCache(int entriesMax, long bytesMax, RankerMetrics metrics)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, LinkedListNode<(ContextEntry Entry, long Bytes)>> _byId = new(StringComparer.Ordinal); // under _gate
    private readonly LinkedList<(ContextEntry Entry, long Bytes)> _recent = new();                                             // newest first, under _gate
    private long _bytes;                                                                                                       // under _gate

    public int Count
    {
        get { lock (_gate) return _byId.Count; }
    }

    public long Bytes
    {
        get { lock (_gate) return _bytes; }
    }

    /// <summary>The context of that name if this user's is held here, which then counts as used.</summary>
    public ContextEntry? Find(string id, string userId)
    {
        if (id.Length == 0) return null;
        lock (_gate)
        {
            if (!_byId.TryGetValue(id, out var node) || node.Value.Entry.UserId != userId || node.Value.Entry.State.IsFaulted) return null;
            Touch(node);
            CountHeld(node.Value.Entry);
            return node.Value.Entry;
        }
    }

    /// <summary>
    /// The context of that name; where it is not held, what <paramref name="make"/> begins, which is held unless it has failed already.
    /// It is called under the lock and must not wait.
    /// </summary>
    public (ContextEntry Entry, bool Held) GetOrAdd(string id, Func<ContextEntry> make)
    {
        ContextEntry entry;
        lock (_gate)
        {
            if (_byId.TryGetValue(id, out var node))
            {
                if (!node.Value.Entry.State.IsFaulted)
                {
                    Touch(node);
                    CountHeld(node.Value.Entry);
                    return (node.Value.Entry, true);
                }

                Remove(node); // it failed a moment ago and is not settled yet
            }

            entry = make();
            metrics.ContextLookedUp("miss");
            if (entry.State.IsFaulted) return (entry, false); // turned away at once: nothing good leaves for it
            _byId.Add(id, _recent.AddFirst((entry, entry.MessageBytes)));
            _bytes += entry.MessageBytes;
            Evict();
        }

        _ = SettleAsync(entry);
        return (entry, false);
    }

    private void CountHeld(ContextEntry entry) => metrics.ContextLookedUp(entry.State.IsCompleted ? "hit" : "joined");

    private async Task SettleAsync(ContextEntry entry)
    {
        await ((Task)entry.State).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        long stateBytes = entry.State.IsCompletedSuccessfully ? (await entry.State).Bytes : 0;
        lock (_gate)
        {
            // Evicted meanwhile, perhaps added again by somebody else: that entry is not ours to settle.
            if (!_byId.TryGetValue(entry.Id, out var node) || !ReferenceEquals(node.Value.Entry, entry)) return;
            if (!entry.State.IsCompletedSuccessfully)
            {
                Remove(node);
                return;
            }

            node.Value = (entry, entry.MessageBytes + stateBytes);
            _bytes += stateBytes;
            Evict();
        }
    }

    private void Touch(LinkedListNode<(ContextEntry, long)> node)
    {
        _recent.Remove(node);
        _recent.AddFirst(node);
    }

    private void Evict()
    {
        while ((_recent.Count > entriesMax || _bytes > bytesMax) && _recent.Last is { } last) Remove(last);
    }

    private void Remove(LinkedListNode<(ContextEntry Entry, long Bytes)> node)
    {
        _recent.Remove(node);
        _byId.Remove(node.Value.Entry.Id);
        _bytes -= node.Value.Bytes;
    }
}
