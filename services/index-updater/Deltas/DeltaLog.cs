using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>
/// The ordered log of one shard: every delta has the next sequence number, is stored first and published second. A crash
/// between the two leaves stored batches that nobody was sent; whoever opens the log next sends them before anything else.
/// Sending twice does no harm, as readers skip sequence numbers that they have. One writer at a time; a second one is
/// stopped by the head's ETag.
/// </summary>
internal sealed class DeltaLog(IShardState state, IDeltaPublisher publisher, LogKeys keys, int shards)
{
    // Deletes that ride along with each append: more than an append ever adds, so that the store never falls behind.
    private const int DeletesPerAppend = 32;

    private readonly Queue<IndexDeltaBatch> _unpublished = new();
    private byte[] _headBytes = [];
    private IndexLogPage _page = new();

    /// <summary>The head as stored last. Not to be changed.</summary>
    public IndexLogHead Head { get; private set; } = new();

    /// <summary>Whether there is a log at all in the store.</summary>
    public bool Exists => _headBytes.Length > 0;

    /// <summary>Reads the head and whatever was stored and perhaps not published.</summary>
    public async Task OpenAsync(CancellationToken cancellation)
    {
        (byte[]? bytes, _) = await state.GetAsync(keys.Head, cancellation);
        _headBytes = bytes ?? [];
        Head = IndexLogHead.Parser.ParseFrom(_headBytes);
        _unpublished.Clear();
        _page = new IndexLogPage();
        if (bytes is null) return;

        if (Head.NextBatch % LogKeys.PageBatches != 0)
        {
            (byte[]? page, _) = await state.GetAsync(keys.Page(Head.NextBatch / LogKeys.PageBatches), cancellation);
            _page = IndexLogPage.Parser.ParseFrom(page ?? throw new InvalidDataException($"The log of shard {keys.Shard} has lost its newest directory page."));
        }

        if (Head.PublishedThrough >= Head.Sequence) return;
        await foreach (IndexLogBatch batch in ReadAsync(await LogDirectory.BatchOfAsync(state, keys, Head, Head.PublishedThrough + 1, cancellation), cancellation))
        {
            if (batch.Deltas.Count > 0) _unpublished.Enqueue(Published(batch));
        }
    }

    /// <summary>Stored batches from a number on, in order.</summary>
    public IAsyncEnumerable<IndexLogBatch> ReadAsync(ulong firstBatch, CancellationToken cancellation) =>
        LogBatches.ReadAsync(state, keys, firstBatch, Head.NextBatch, cancellation);

    /// <summary>Sends what is stored and not yet published, in order.</summary>
    public async Task PublishAsync(CancellationToken cancellation)
    {
        while (_unpublished.TryPeek(out IndexDeltaBatch? batch))
        {
            batch.HeadSequence = Head.Sequence;
            await publisher.PublishAsync(batch, cancellation);
            _unpublished.Dequeue();
            // Not stored here: the next append does. Until then a crash means that this batch is sent again.
            Head.PublishedThrough = batch.FirstSequence + (ulong)batch.Deltas.Count - 1;
        }
    }

    /// <summary>
    /// Stores batches with whatever else belongs to the same turn: all or nothing. The caller publishes afterwards.
    /// </summary>
    /// <param name="change">Changes to the head that belong to the turn.</param>
    /// <exception cref="LogMovedException">Somebody else has written since: nothing was stored, and what the caller knows is out of date.</exception>
    public async Task StoreAsync(IReadOnlyList<IndexLogBatch> batches, IReadOnlyDictionary<string, byte[]> alongside, Action<IndexLogHead> change, CancellationToken cancellation)
    {
        string eTag = await FenceAsync(cancellation);
        IndexLogHead head = Head.Clone();
        IndexLogPage page = _page.Clone();
        var writes = new List<KeyValuePair<string, byte[]?>>();
        foreach (IndexLogBatch batch in batches) page = Add(head, page, batch, writes);
        if (page.FirstSequences.Count > 0 && batches.Count > 0) Write(keys.Page(head.NextBatch / LogKeys.PageBatches), page.ToByteArray());
        change(head);
        head.Shards = (uint)shards;
        TrimPages(head, writes);
        foreach ((string key, byte[] value) in alongside) Write(key, value);
        byte[] headBytes = head.ToByteArray();
        Write(keys.Head, headBytes);

        await state.TransactAsync(writes, keys.Head, eTag, cancellation);
        (Head, _headBytes, _page) = (head, headBytes, page);
        foreach (IndexLogBatch batch in batches.Where(batch => batch.Deltas.Count > 0)) _unpublished.Enqueue(Published(batch));

        void Write(string key, byte[] value) => writes.Add(new KeyValuePair<string, byte[]?>(key, value));
    }

    // The head must be what was read or written last. It also settles a transaction whose answer never came: stored or not,
    // the caller starts again from what the store says.
    private async Task<string> FenceAsync(CancellationToken cancellation)
    {
        (byte[]? stored, string eTag) = await state.GetAsync(keys.Head, cancellation);
        if (!(stored ?? []).AsSpan().SequenceEqual(_headBytes)) throw new LogMovedException(keys.Shard);
        return eTag;
    }

    private IndexLogPage Add(IndexLogHead head, IndexLogPage page, IndexLogBatch batch, List<KeyValuePair<string, byte[]?>> writes)
    {
        ulong number = head.NextBatch++;
        writes.Add(new KeyValuePair<string, byte[]?>(keys.Batch(number), batch.ToByteArray()));
        if (number % LogKeys.PageBatches == 0) head.PageFirstSequences.Add(batch.FirstSequence);
        page.FirstSequences.Add(batch.FirstSequence);
        page.Deltas.Add((uint)batch.Deltas.Count);
        head.Sequence = batch.FirstSequence + (ulong)batch.Deltas.Count - 1;
        if (head.NextBatch % LogKeys.PageBatches != 0) return page;

        writes.Add(new KeyValuePair<string, byte[]?>(keys.Page(number / LogKeys.PageBatches), page.ToByteArray()));
        return new IndexLogPage();
    }

    // Deletes a few of the batches that a snapshot has folded, and each page with its last batch.
    private void TrimPages(IndexLogHead head, List<KeyValuePair<string, byte[]?>> writes)
    {
        ulong end = Math.Min(head.FirstBatch, head.DeletedBatches + DeletesPerAppend);
        for (; head.DeletedBatches < end; head.DeletedBatches++)
        {
            writes.Add(new KeyValuePair<string, byte[]?>(keys.Batch(head.DeletedBatches), null));
            if (head.DeletedBatches % LogKeys.PageBatches != LogKeys.PageBatches - 1) continue;

            writes.Add(new KeyValuePair<string, byte[]?>(keys.Page(head.DeletedBatches / LogKeys.PageBatches), null));
            head.PageFirstSequences.RemoveAt(0);
        }
    }

    private IndexDeltaBatch Published(IndexLogBatch batch) => new() { Shard = keys.Shard, FirstSequence = batch.FirstSequence, Deltas = { batch.Deltas } };
}

/// <summary>The log was written by somebody else: another writer took over the shard, or an earlier write was stored although its answer was lost.</summary>
internal sealed class LogMovedException(uint shard) : Exception($"The log of shard {shard} has moved since it was read; it is read again.");
