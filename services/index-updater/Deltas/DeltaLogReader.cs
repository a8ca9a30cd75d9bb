using Mesh.Contracts;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>Reads the stored log of any shard from any replica, without its actor.</summary>
internal sealed class DeltaLogReader(IShardState state)
{
    // Of the answer, in protobuf. The caller asks again for more.
    private const int AnswerBytesMax = 2 * 1024 * 1024;

    public async Task<IndexLogHead?> HeadAsync(uint shard, CancellationToken cancellation)
    {
        (byte[]? bytes, _) = await state.GetAsync(new LogKeys(shard).Head, cancellation);
        return bytes is null ? null : IndexLogHead.Parser.ParseFrom(bytes);
    }

    /// <summary>Deltas after a sequence number, at most <paramref name="deltasMax"/> and about 2 MiB of them.</summary>
    public async Task<IndexDeltaBatch> ReadAsync(uint shard, ulong after, int deltasMax, CancellationToken cancellation)
    {
        var keys = new LogKeys(shard);
        IndexLogHead head = await HeadAsync(shard, cancellation) ?? new IndexLogHead();
        var answer = new IndexDeltaBatch { Shard = shard, FirstSequence = after + 1, HeadSequence = head.Sequence };
        if (after >= head.Sequence) return answer;
        if (after < head.TrimmedThrough) return Truncated(answer);

        try
        {
            await FillAsync(answer, keys, head, deltasMax, cancellation);
            return answer;
        }
        catch (InvalidDataException)
        {
            // The writer trimmed the log between the read of the head and that of the batches. What was read before is whole.
            if (answer.Deltas.Count > 0) return answer;
            head = await HeadAsync(shard, cancellation) ?? head;
            if (after < head.TrimmedThrough) return Truncated(answer);
            throw;
        }
    }

    private async Task FillAsync(IndexDeltaBatch answer, LogKeys keys, IndexLogHead head, int deltasMax, CancellationToken cancellation)
    {
        ulong next = answer.FirstSequence;
        int bytes = 0;
        ulong first = await LogDirectory.BatchOfAsync(state, keys, head, next, cancellation);
        await foreach (IndexLogBatch batch in LogBatches.ReadAsync(state, keys, first, head.NextBatch, cancellation))
        {
            foreach (IndexDelta delta in batch.Deltas.Where(delta => delta.Sequence >= next))
            {
                bytes += delta.CalculateSize();
                if (answer.Deltas.Count >= deltasMax || (answer.Deltas.Count > 0 && bytes > AnswerBytesMax)) return;
                answer.Deltas.Add(delta);
            }
        }
    }

    private static IndexDeltaBatch Truncated(IndexDeltaBatch answer)
    {
        answer.TruncatedLog = true;
        return answer;
    }
}
