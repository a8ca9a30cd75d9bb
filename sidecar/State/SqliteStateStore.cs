using System.Globalization;
using Mesh.Sidecar.Sqlite;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.State;

/// <summary>
/// <c>state.sqlite</c>: one file, one writer that commits in groups, pooled readers. The tables are those of Dapr's own
/// SQLite component (binary values in base64), so that a real daprd continues with the same file. A write returns
/// after the fsync of its commit; kill -9 at any moment leaves every acknowledged write and no part of another.
/// </summary>
public sealed class SqliteStateStore : IStateStore, IAsyncDisposable
{
    private const int ReadersMax = 8;
    private const int CleanupRowsMax = 1_000;

    private readonly SqliteStateOptions _options;
    private readonly TimeProvider _clock;
    private readonly SqliteGroupCommit _writer;
    private readonly SqliteStateStatements _statements;
    private readonly SqliteReaders<SqliteStateReader> _readers;
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _cleanup;

    private SqliteStateStore(SqliteStateOptions options, SqliteFile file, SqliteConnection connection, TimeProvider clock)
    {
        _options = options;
        _clock = clock;
        _statements = new SqliteStateStatements(connection, options.TableName);
        _writer = new SqliteGroupCommit(connection, $"state.sqlite {Path.GetFileName(options.Path)}");
        _readers = new SqliteReaders<SqliteStateReader>(() => new SqliteStateReader(file.OpenReader(), options.TableName), ReadersMax);
        _cleanup = options.CleanupInterval > TimeSpan.Zero ? CleanUpAsync(_closing.Token) : Task.CompletedTask;
    }

    /// <summary>Commits so far: with many concurrent writes far fewer than writes.</summary>
    public long Commits => _writer.Commits;

    /// <exception cref="StateStoreException">The file cannot be opened.</exception>
    public static SqliteStateStore Open(SqliteStateOptions options, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(options);
        var file = new SqliteFile(options.Path)
        {
            BusyTimeout = options.BusyTimeout,
            DisableWal = options.DisableWal,
            Mode = options.Mode,
            Pragmas = options.Pragmas,
        };
        try
        {
            SqliteConnection connection = file.OpenWriter();
            if (options.Mode != SqliteOpenMode.ReadOnly) CreateTables(connection, options);
            return new SqliteStateStore(options, file, connection, clock);
        }
        catch (Exception error) when (error is SqliteException or IOException or UnauthorizedAccessException)
        {
            throw new StateStoreException($"{options.Path} cannot be opened: {error.Message}", error);
        }
    }

    public async Task<StateItem?> GetAsync(string key, CancellationToken cancellation)
    {
        string now = Format(_clock.GetUtcNow());
        return await ReadAsync(reader => reader.Find(key, now), cancellation);
    }

    public async Task<IReadOnlyList<StateItem?>> GetBulkAsync(IReadOnlyList<string> keys, CancellationToken cancellation)
    {
        string now = Format(_clock.GetUtcNow());
        return await ReadAsync(reader => reader.FindAll(keys, now), cancellation);
    }

    public async Task<IReadOnlyList<string>> KeysAsync(string prefix, CancellationToken cancellation)
    {
        string now = Format(_clock.GetUtcNow());
        return await ReadAsync(reader => reader.Keys(prefix, now), cancellation);
    }

    public async Task WriteAsync(IReadOnlyList<StateWrite> writes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(writes);
        if (writes.Count == 0) return;

        // The values belong to the caller; it gets them back only when this returns, so the writer may read them later.
        DateTimeOffset now = _clock.GetUtcNow();
        try
        {
            await _writer.RunAsync(
                () =>
                {
                    foreach (StateWrite write in writes) Apply(write, now);
                    return writes.Count;
                },
                cancellation);
        }
        catch (SqliteFailureException failure)
        {
            throw new StateStoreException(failure.Message, failure);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_closing.IsCancellationRequested) return;

        await _closing.CancelAsync();
        await _cleanup.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _writer.DisposeAsync();
        _statements.Dispose();
        _readers.Dispose();
    }

    /// <summary>How the file writes times: UTC, whole seconds, comparable as text.</summary>
    internal static string Format(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private static void CreateTables(SqliteConnection connection, SqliteStateOptions options)
    {
        using SqliteTransaction transaction = connection.BeginTransaction(deferred: false);
        connection.Execute($"CREATE TABLE IF NOT EXISTS {options.MetadataTableName} (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)");
        connection.Execute($"""
            CREATE TABLE IF NOT EXISTS {options.TableName} (
              key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT NULL, etag TEXT NOT NULL,
              expiration_time TIMESTAMP DEFAULT NULL, update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)
            """);
        connection.Execute($"""
            CREATE INDEX IF NOT EXISTS {options.TableName}_expiration ON {options.TableName}(expiration_time) WHERE expiration_time IS NOT NULL
            """);
        connection.Execute($"INSERT OR IGNORE INTO {options.MetadataTableName} (key, value) VALUES ('migrations', '1')");
        transaction.Commit();
    }

    private void Apply(StateWrite write, DateTimeOffset now)
    {
        string time = Format(now);
        if (!string.IsNullOrEmpty(write.ETag))
        {
            string? stored = _statements.FindETag(write.Key, time);
            if (stored is null) throw new StateConflictException(write.Key, StateConflicts.Missing);
            if (stored != write.ETag) throw new StateConflictException(write.Key, StateConflicts.Mismatch);
        }
        else if (write.FirstWrite && _statements.FindETag(write.Key, time) is not null)
        {
            throw new StateConflictException(write.Key, StateConflicts.Taken);
        }

        if (write.Value is { } value) _statements.Upsert(write.Key, value.Span, write.IsJson, time, write.Ttl is { } ttl ? Format(now + ttl) : null);
        else _statements.Delete(write.Key);
    }

    private async Task<T> ReadAsync<T>(Func<SqliteStateReader, T> read, CancellationToken cancellation)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        timeout.CancelAfter(_options.Timeout);
        try
        {
            return await _readers.ReadAsync(read, timeout.Token);
        }
        catch (SqliteException error)
        {
            throw new StateStoreException(SqliteGroupCommit.Explain(error), error);
        }
        catch (OperationCanceledException canceled) when (!cancellation.IsCancellationRequested)
        {
            throw new StateStoreException(
                _closing.IsCancellationRequested ? "The store is closed." : $"The store did not answer within {_options.Timeout}.", canceled);
        }
    }

    private async Task CleanUpAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(_options.CleanupInterval, _clock);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            try
            {
                // In steps, so that no write waits for more than one of them.
                while (await _writer.RunAsync(() => _statements.DeleteExpired(Format(_clock.GetUtcNow()), CleanupRowsMax), cancellation) == CleanupRowsMax)
                {
                }
            }
            catch (SqliteFailureException)
            {
                // Expired rows are invisible either way; the next tick tries again.
            }
        }
    }
}
