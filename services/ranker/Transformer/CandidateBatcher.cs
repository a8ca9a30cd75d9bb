using System.Diagnostics;
using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// The only caller of the graphs: a few threads, as more callers than cores only slow one another down. Candidates of all
/// requests wait in one bounded queue, cut into chunks of equal rows; a free thread takes chunks request by request in turn
/// (a large request cannot hold up a small one), its share of what waits, and runs them as one batch. It waits for more only
/// while a request is known to be about to come, and never longer than the batch wait. Encodings and batches alternate; a
/// sequence that nobody waits for any more is not encoded, so that a queue that has grown late does not make the next late too.
/// </summary>
internal sealed class CandidateBatcher : IDisposable
{
    private readonly TransformerOptions _options;
    private readonly RankerMetrics _metrics;
    private readonly int _actions = ActionTaxonomy.Default.Count;
    private readonly object _gate = new();
    private readonly Thread[] _workers;

    // All under _gate.
    private readonly LinkedList<EncodeJob> _encodings = new();
    private readonly LinkedList<ScoreJob> _jobs = new();
    private int _queuedRows;
    private int _announced;
    private int _idle;
    private bool _encodedLast;
    private bool _stopping;

    public CandidateBatcher(TransformerOptions options, RankerMetrics metrics)
    {
        _options = options;
        _metrics = metrics;
        _workers = [.. Enumerable.Range(0, options.Workers > 0 ? options.Workers : Environment.ProcessorCount)
            .Select(i => new Thread(Work) { Name = $"ranker-graphs-{i}", IsBackground = true })];
        foreach (Thread worker in _workers) worker.Start();
    }

    public int QueuedRows
    {
        get { lock (_gate) return _queuedRows; }
    }

    public int IdleWorkers
    {
        get { lock (_gate) return _idle; }
    }

    /// <summary>Queues one sequence; it is encoded if somebody still waits for it at its turn.</summary>
    /// <exception cref="FallbackException">In the task: the queue is full, everybody left, or the graph failed.</exception>
    public Task<ContextState> EncodeAsync(LoadedModel model, Sequence? sequence, IReadOnlyList<HistoryItem> history, Waiters waiters)
    {
        var deserted = new List<EncodeJob>();
        Task<ContextState> encoding;
        lock (_gate)
        {
            if (_encodings.Count >= _options.QueuedEncodingsMax) TakeDeserted(deserted);
            if (_stopping || _encodings.Count >= _options.QueuedEncodingsMax)
            {
                encoding = Task.FromException<ContextState>(Overloaded($"{_encodings.Count} sequences wait to be encoded"));
            }
            else
            {
                var job = new EncodeJob(model.Share(), sequence, history, waiters);
                _encodings.AddLast(job);
                encoding = job.Done.Task;
                Monitor.Pulse(_gate);
            }
        }

        Drop(deserted);
        return encoding;
    }

    /// <summary>A request whose candidates come within a moment: batches may wait for it. Dispose once they are queued, or will not be.</summary>
    public IDisposable Announce()
    {
        lock (_gate) _announced++;
        return new Announcement(this);
    }

    /// <summary>Scores rows against a context: 14 probabilities each, in order, strictly between 0 and 1.</summary>
    /// <param name="model">The caller holds a use of it until the task ends.</param>
    /// <exception cref="FallbackException">The queue is full, the run failed, or an output is no probability.</exception>
    /// <exception cref="OperationCanceledException">Cancelled: rows that no run has taken are withdrawn.</exception>
    public async Task<float[]> ScoreAsync(LoadedModel model, ContextState context, CandidateRows rows, CancellationToken cancellation)
    {
        if (rows.Count == 0) return [];
        var job = new ScoreJob(model, context, rows, _actions, Stopwatch.GetTimestamp());
        lock (_gate)
        {
            // A request that is larger than the whole queue may still come alone.
            if (_stopping || (_queuedRows > 0 && _queuedRows + rows.Count > _options.QueuedCandidatesMax))
            {
                throw Overloaded($"{_queuedRows} candidates wait to be scored");
            }

            _jobs.AddLast(job);
            _queuedRows += rows.Count;
            Monitor.PulseAll(_gate);
        }

        await using CancellationTokenRegistration withdrawal = cancellation.Register(() => Withdraw(job, cancellation));
        return await job.Done.Task;
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }

        foreach (Thread worker in _workers) worker.Join();
        foreach (ScoreJob job in _jobs) job.Done.TrySetException(Overloaded("the service stops"));
        foreach (EncodeJob job in _encodings)
        {
            job.Done.TrySetException(Overloaded("the service stops"));
            job.Model.Return();
        }
    }

    private void Work()
    {
        while (true)
        {
            EncodeJob? encoding = null;
            List<(ScoreJob Job, Chunk Chunk)> batch = [];
            List<EncodeJob> deserted = [];
            lock (_gate)
            {
                _idle++;
                while (!_stopping && !TryTake(out encoding, batch, deserted)) { }
                _idle--;
                if (_stopping) return;
            }

            Drop(deserted);
            if (encoding is not null) Encode(encoding);
            else if (batch.Count > 0) Score(batch);
        }
    }

    // Under the lock. False after a wait: look again.
    private bool TryTake(out EncodeJob? encoding, List<(ScoreJob Job, Chunk Chunk)> batch, List<EncodeJob> deserted)
    {
        encoding = null;
        TakeDeserted(deserted);
        if (deserted.Count > 0) return true; // they are told outside the lock, and then is looked again

        bool encode = _encodings.Count > 0 && !(_encodedLast && _jobs.Count > 0);
        if (encode)
        {
            encoding = _encodings.First!.Value;
            _encodings.RemoveFirst();
        }
        else if (_jobs.First is { Value: var next })
        {
            int waiting = ChunksOf(next.Model);
            double leftMs = _options.BatchWaitMs - Stopwatch.GetElapsedTime(next.Enqueued).TotalMilliseconds;
            if (_announced > 0 && waiting < _options.ChunksMax && leftMs > 0)
            {
                Monitor.Wait(_gate, (int)Math.Ceiling(leftMs));
                return false;
            }

            TakeInTurn(next.Model, Math.Min(_options.ChunksMax, Share(waiting, _idle)), batch);
        }
        else
        {
            Monitor.Wait(_gate);
            return false;
        }

        _encodedLast = encode;
        return true;
    }

    // Under the lock.
    private void TakeDeserted(List<EncodeJob> deserted)
    {
        for (LinkedListNode<EncodeJob>? node = _encodings.First, next; node is not null; node = next)
        {
            next = node.Next;
            if (node.Value.Waiters.Any) continue;
            deserted.Add(node.Value);
            _encodings.Remove(node);
        }
    }

    // Outside the lock: the last lease of a model that was swapped out closes its graphs.
    private static void Drop(List<EncodeJob> jobs)
    {
        foreach (EncodeJob job in jobs)
        {
            job.Done.TrySetException(new FallbackException(new Fallback(FallbackKind.Late, "nobody waited for the sequence to be encoded any more")));
            job.Model.Return();
        }
    }

    private static int Share(int chunks, int workers) => (chunks + workers - 1) / workers;

    private int ChunksOf(LoadedModel model)
    {
        int chunks = 0;
        foreach (ScoreJob job in _jobs)
        {
            if (ReferenceEquals(job.Model, model)) chunks += Share(job.Rows.Count - job.Next, _options.ChunkRows);
        }

        return chunks;
    }

    // One chunk of each request of this model, oldest first, and around again. Who was served goes to the end of the line,
    // which brings the requests of other models to its front.
    private void TakeInTurn(LoadedModel model, int chunks, List<(ScoreJob Job, Chunk Chunk)> batch)
    {
        model.Share();
        while (batch.Count < chunks && FirstOf(model) is { } node)
        {
            Chunk chunk = node.Value.Take(_options.ChunkRows);
            batch.Add((node.Value, chunk));
            _queuedRows -= chunk.Count;
            _jobs.Remove(node);
            if (!node.Value.AllTaken) _jobs.AddLast(node);
        }
    }

    private LinkedListNode<ScoreJob>? FirstOf(LoadedModel model)
    {
        LinkedListNode<ScoreJob>? node = _jobs.First;
        while (node is not null && !ReferenceEquals(node.Value.Model, model)) node = node.Next;
        return node;
    }

    private void Encode(EncodeJob job)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            job.Done.TrySetResult(job.Model.Model.Encode(job.Sequence, job.History));
            _metrics.Encoded(Stopwatch.GetElapsedTime(started));
        }
        catch (Exception exception)
        {
            job.Done.TrySetException(Failed($"encoding the sequence: {exception.Message}", exception));
        }
        finally
        {
            job.Model.Return();
        }
    }

    private void Score(List<(ScoreJob Job, Chunk Chunk)> batch)
    {
        LoadedModel model = batch[0].Job.Model;
        ScoreJob[] requests = [.. batch.Select(entry => entry.Job).Distinct()];
        try
        {
            foreach (ScoreJob job in requests) _metrics.Waited(Stopwatch.GetElapsedTime(job.Enqueued));
            long started = Stopwatch.GetTimestamp();
            Run(model, [.. batch.Select(entry => entry.Chunk)]);
            _metrics.BatchRan(Stopwatch.GetElapsedTime(started), batch.Sum(entry => entry.Chunk.Count), requests.Length);
        }
        catch (Exception) when (requests.Length > 1)
        {
            // Whose fault it is shows alone: the neighbours of a request that the graph cannot take must not fall with it.
            foreach (ScoreJob job in requests) ScoreAlone(job, [.. batch.Where(entry => entry.Job == job).Select(entry => entry.Chunk)]);
        }
        catch (Exception exception)
        {
            Fail(requests[0], exception);
        }
        finally
        {
            model.Return();
        }

        Complete(batch);
    }

    private void ScoreAlone(ScoreJob job, Chunk[] chunks)
    {
        try
        {
            Run(job.Model, chunks);
        }
        catch (Exception exception)
        {
            Fail(job, exception);
        }
    }

    private void Run(LoadedModel model, Chunk[] chunks)
    {
        model.Model.Run(chunks, _options.ChunkRows);
        foreach (Chunk chunk in chunks) OutputCheck.Apply(chunk.Output.Span);
    }

    private void Fail(ScoreJob job, Exception exception)
    {
        lock (_gate) Remove(job);
        job.Done.TrySetException(Failed($"scoring {job.Rows.Count} candidates: {exception.Message}", exception));
    }

    private void Complete(List<(ScoreJob Job, Chunk Chunk)> batch)
    {
        lock (_gate)
        {
            foreach ((ScoreJob job, _) in batch)
            {
                job.Running--;
                if (job.Running == 0 && job.AllTaken) job.Done.TrySetResult(job.Output);
            }
        }
    }

    private void Withdraw(ScoreJob job, CancellationToken cancellation)
    {
        lock (_gate) Remove(job);
        job.Done.TrySetCanceled(cancellation);
    }

    // Under the lock: rows that no run has taken leave the queue.
    private void Remove(ScoreJob job)
    {
        if (_jobs.Remove(job)) _queuedRows -= job.Rows.Count - job.Next;
    }

    private static FallbackException Overloaded(string detail) => new(new Fallback(FallbackKind.Overloaded, detail));

    private static FallbackException Failed(string detail, Exception cause) => new(new Fallback(FallbackKind.Failed, detail), cause);

    private sealed class Announcement(CandidateBatcher batcher) : IDisposable
    {
        private int _done; // interlocked

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _done, 1) == 1) return;
            lock (batcher._gate)
            {
                batcher._announced--;
                Monitor.PulseAll(batcher._gate);
            }
        }
    }
}
