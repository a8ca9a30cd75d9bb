using System.Collections.Concurrent;

namespace Mesh.Sidecar.Sqlite;

/// <summary>A bounded pool of read connections, each with its prepared statements. Readers never wait for the writer (WAL).</summary>
/// <typeparam name="T">Owns one connection; used by one caller at a time.</typeparam>
public sealed class SqliteReaders<T>(Func<T> open, int readersMax) : IDisposable where T : class, IDisposable
{
    private readonly ConcurrentBag<T> _idle = [];
    private readonly SemaphoreSlim _slots = new(readersMax);

    /// <summary>Runs a read on the calling thread: pages are in memory, so it takes microseconds.</summary>
    public async Task<TResult> ReadAsync<TResult>(Func<T, TResult> read, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(read);
        await _slots.WaitAsync(cancellation);
        try
        {
            if (!_idle.TryTake(out T? reader)) reader = open();
            TResult result;
            try
            {
                result = read(reader);
            }
            catch
            {
                reader.Dispose(); // it may be inside a statement; the next caller gets a fresh one
                throw;
            }

            _idle.Add(reader);
            return result;
        }
        finally
        {
            _slots.Release();
        }
    }

    public void Dispose()
    {
        while (_idle.TryTake(out T? reader)) reader.Dispose();
        _slots.Dispose();
    }
}
