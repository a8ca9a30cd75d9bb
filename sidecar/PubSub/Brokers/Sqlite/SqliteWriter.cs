using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>
/// The one writer of a file in this process: a thread that takes whatever operations have queued up, runs them in one
/// transaction and completes them together. Concurrent publishers so share one fsync (group commit). Transactions without a
/// publish commit with synchronous=NORMAL: kill -9 loses none of them, and a power cut that does only hands messages out again.
/// </summary>
internal sealed class SqliteWriter : IAsyncDisposable
{
    private const int OperationsMax = 256;
    private const int CostPerCommitMax = 8192;
    private static readonly TimeSpan ForeignPollInterval = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentQueue<Operation> _queue = new();
    private readonly SemaphoreSlim _queued = new(0);
    private readonly SemaphoreSlim _room = new(OperationsMax);
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SqliteConnection _connection;
    private readonly SqliteStatements _statements;
    private readonly Action<SqliteStatements> _idle;
    private readonly Action _foreignCommit;
    private readonly Action<Exception> _idleFailed;
    private readonly List<Operation> _batch = [];
    private volatile bool _stopping;
    private bool _syncFull = true;
    private long _dataVersion;

    /// <param name="connection">Owned by the writer from here on.</param>
    /// <param name="idle">Runs between transactions, at least every 100 ms: housekeeping that decides itself when it is due.</param>
    /// <param name="foreignCommit">Another process has committed to the file.</param>
    public SqliteWriter(SqliteConnection connection, string name, Action<SqliteStatements> idle, Action foreignCommit, Action<Exception> idleFailed)
    {
        _connection = connection;
        _statements = new SqliteStatements(connection);
        _idle = idle;
        _foreignCommit = foreignCommit;
        _idleFailed = idleFailed;
        _dataVersion = DataVersion();
        new Thread(Loop) { IsBackground = true, Name = $"pubsub {name}" }.Start();
    }

    /// <summary>Commits made so far. Fewer than operations where group commit worked.</summary>
    public long Commits { get; private set; }

    /// <summary>Queues work and returns its result once committed. Waits while too much is queued.</summary>
    /// <param name="cost">Rows it writes, roughly; bounds how much one transaction takes on.</param>
    /// <param name="durable">Whether the commit must survive a power cut.</param>
    public async Task<T> EnqueueAsync<T>(Func<SqliteStatements, T> work, int cost, bool durable, CancellationToken cancellation)
    {
        await _room.WaitAsync(cancellation);
        if (_stopping)
        {
            _room.Release();
            throw new BrokerException("The broker is shutting down.");
        }

        var operation = new Operation<T>(work, cost, durable);
        _queue.Enqueue(operation);
        if (_stopped.Task.IsCompleted) FailQueued(); // the thread ended between the check above and now
        else _queued.Release();
        return await operation.Completion;
    }

    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        _queued.Release();
        await _stopped.Task;
        _room.Dispose();
        _queued.Dispose();
    }

    private void Loop()
    {
        while (true)
        {
            bool signalled = _queued.Wait(ForeignPollInterval);
            Gather(signalled);
            if (_batch.Count > 0) Commit();
            else if (_stopping && _queue.IsEmpty) break;

            try
            {
                if (DataVersion() is var version && version != _dataVersion)
                {
                    _dataVersion = version;
                    _foreignCommit();
                }

                _idle(_statements);
            }
#pragma warning disable CA1031 // nothing may end the writer's thread: everybody who publishes would wait for ever
            catch (Exception exception)
#pragma warning restore CA1031
            {
                _idleFailed(exception);
            }
        }

        _statements.Dispose();
        _connection.Dispose();
        _stopped.TrySetResult();
        FailQueued();
    }

    // Whoever queues while the thread ends is told, by the thread or by itself: nobody waits for ever.
    private void FailQueued()
    {
        while (_queue.TryDequeue(out Operation? operation)) operation.Fail(new BrokerException("The broker is shutting down."));
    }

    private void Gather(bool signalled)
    {
        _batch.Clear();
        int cost = 0;
        while (signalled && _queue.TryDequeue(out Operation? operation))
        {
            _batch.Add(operation);
            cost += operation.Cost;
            _room.Release();
            if (cost >= CostPerCommitMax) break;
            signalled = _queued.Wait(0);
        }
    }

    private void Commit()
    {
        try
        {
            Run(_batch);
            foreach (Operation operation in _batch) operation.Complete();
        }
#pragma warning disable CA1031 // as above
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Rollback();
            if (_batch.Count == 1) _batch[0].Fail(exception);
            else RunOneByOne();
        }
    }

    // One operation spoilt the transaction. Alone, each of the others succeeds.
    private void RunOneByOne()
    {
        foreach (Operation operation in _batch)
        {
            try
            {
                Run([operation]);
                operation.Complete();
            }
#pragma warning disable CA1031 // as above
            catch (Exception exception)
#pragma warning restore CA1031
            {
                Rollback();
                operation.Fail(exception);
            }
        }
    }

    private void Run(List<Operation> operations)
    {
        bool full = operations.Exists(operation => operation.Durable);
        if (full != _syncFull)
        {
            _statements.Run(full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
            _syncFull = full;
        }

        _statements.Run("BEGIN IMMEDIATE");
        foreach (Operation operation in operations) operation.Execute(_statements);
        _statements.Run("COMMIT");
        Commits++;
    }

    private void Rollback()
    {
        try
        {
            _statements.Run("ROLLBACK");
        }
        catch (SqliteException)
        {
            // SQLite has rolled back by itself, or the transaction never began.
            Debug.WriteLine("nothing to roll back");
        }
    }

    // Changes only when another connection commits.
    private long DataVersion() => (long)_statements.Scalar("PRAGMA data_version")!;

    private abstract class Operation(int cost, bool durable)
    {
        public int Cost => cost;

        public bool Durable => durable;

        public abstract void Execute(SqliteStatements statements);

        public abstract void Complete();

        public abstract void Fail(Exception exception);
    }

    private sealed class Operation<T>(Func<SqliteStatements, T> work, int cost, bool durable) : Operation(cost, durable)
    {
        private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private T _result = default!;

        public Task<T> Completion => _completion.Task;

        public override void Execute(SqliteStatements statements) => _result = work(statements);

        public override void Complete() => _completion.TrySetResult(_result);

        public override void Fail(Exception exception) => _completion.TrySetException(
            exception as BrokerException ?? new BrokerException($"SQLite: {exception.Message}", exception));
    }
}
