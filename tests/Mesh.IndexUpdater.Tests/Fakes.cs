using Mesh.Contracts;
using Mesh.IndexUpdater.Deltas;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Tests;

/// <summary>A state store in memory with ETags, whose transactions can be made to fail before or after they are stored.</summary>
internal sealed class MemoryShardState : IShardState
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, (byte[] Value, int ETag)> _values = new(StringComparer.Ordinal);
    private int _writes;

    /// <summary>Transactions to fail with nothing stored.</summary>
    public int FailBefore { get; set; }

    /// <summary>Transactions to store and then fail, as when the answer is lost.</summary>
    public int FailAfter { get; set; }

    /// <summary>Largest transaction so far, in bytes.</summary>
    public long LargestTransaction { get; private set; }

    public string[] Keys
    {
        get
        {
            lock (_gate) return [.. _values.Keys.Order(StringComparer.Ordinal)];
        }
    }

    public byte[]? this[string key]
    {
        get
        {
            lock (_gate) return _values.TryGetValue(key, out var stored) ? stored.Value : null;
        }
    }

    public void Clear() => _values.Clear();

    public Task<(byte[]? Value, string ETag)> GetAsync(string key, CancellationToken cancellation)
    {
        lock (_gate)
        {
            return Task.FromResult(_values.TryGetValue(key, out var stored) ? ((byte[]?)stored.Value, stored.ETag.ToString()) : (null, ""));
        }
    }

    public Task<IReadOnlyDictionary<string, byte[]>> GetBulkAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation)
    {
        lock (_gate)
        {
            return Task.FromResult<IReadOnlyDictionary<string, byte[]>>(keys.Where(_values.ContainsKey).ToDictionary(key => key, key => _values[key].Value));
        }
    }

    public Task TransactAsync(IReadOnlyList<KeyValuePair<string, byte[]?>> writes, string fencedKey, string eTag, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (FailBefore > 0)
            {
                FailBefore--;
                throw new IOException("The state store is away.");
            }

            string current = _values.TryGetValue(fencedKey, out var stored) ? stored.ETag.ToString() : "";
            if (eTag.Length > 0 && current != eTag) throw new IOException("The ETag does not match.");
            LargestTransaction = Math.Max(LargestTransaction, writes.Sum(write => (long)(write.Value?.Length ?? 0)));
            foreach ((string key, byte[]? value) in writes)
            {
                if (value is null) _values.Remove(key);
                else _values[key] = (value, ++_writes);
            }

            if (FailAfter > 0)
            {
                FailAfter--;
                throw new IOException("The answer was lost.");
            }

            return Task.CompletedTask;
        }
    }
}

/// <summary>A broker that keeps what it was given, and can be made to fail before or after it takes a batch.</summary>
internal sealed class MemoryPublisher : IDeltaPublisher
{
    private readonly Lock _gate = new();
    private readonly List<IndexDeltaBatch> _batches = [];

    public int FailBefore { get; set; }

    public int FailAfter { get; set; }

    public IReadOnlyList<IndexDeltaBatch> Batches
    {
        get
        {
            lock (_gate) return [.. _batches];
        }
    }

    public IEnumerable<IndexDelta> Deltas => Batches.SelectMany(batch => batch.Deltas);

    public Task PublishAsync(IndexDeltaBatch batch, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (FailBefore > 0)
            {
                FailBefore--;
                throw new IOException("The broker is away.");
            }

            _batches.Add(batch.Clone());
            if (FailAfter > 0)
            {
                FailAfter--;
                throw new IOException("The answer was lost.");
            }

            return Task.CompletedTask;
        }
    }
}
