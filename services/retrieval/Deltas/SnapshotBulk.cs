using System.Numerics.Tensors;
using Mesh.Contracts;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;

namespace Mesh.Retrieval.Deltas;

/// <summary>The rows of a snapshot's files. Vectors stay in the files, which must be open as long as this is used.</summary>
internal sealed class SnapshotBulk : BulkRows
{
    // Nothing writes to messages of a row (Row.cs), so rows without a word to say share one.
    private static readonly Eligibility Everybody = new();
    private static readonly Counters None = new();

    private readonly (int File, int Row)[] _sources;
    private readonly IReadOnlyList<SnapshotRows> _files;

    private SnapshotBulk(IReadOnlyList<SnapshotRows> files, Row[] rows, (int File, int Row)[] sources, long sharedBytes)
        : base(rows)
    {
        _files = files;
        _sources = sources;
        SharedBytes = sharedBytes;
    }

    public override int Dimensions => _files.Count == 0 ? 0 : _files[0].Dimensions;

    public override long SharedBytes { get; }

    /// <summary>Makes states of all rows that can be taken, file by file on several threads.</summary>
    /// <param name="itemsMax">Rows taken; further ones are refused.</param>
    /// <exception cref="SnapshotFormatException">A row cannot be read.</exception>
    public static SnapshotBulk Read(IReadOnlyList<SnapshotRows> files, int itemsMax, RefusedRows refused, int threads, CancellationToken cancellation)
    {
        int[] firsts = new int[files.Count];
        int count = 0;
        for (int file = 0; file < files.Count; file++)
        {
            firsts[file] = count;
            count = checked(count + files[file].Count);
        }

        var rows = new Row[count];
        var sources = new (int File, int Row)[count];
        long sharedBytes = 0;
        var gate = new Lock();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation };
        Parallel.For(0, files.Count, parallel, static () => new StringPool(), (file, _, pool) =>
        {
            float[] counts = files[file].Counters.ToArray(); // as long as a row has its first counters
            for (int i = 0; i < files[file].Count; i++)
            {
                int slot = firsts[file] + i;
                sources[slot] = (file, i);
                rows[slot] = new Row { State = StateOf(files[file], i, slot, counts, pool) };
            }

            return pool;
        }, pool =>
        {
            lock (gate) sharedBytes += pool.Bytes;
        });
        return Without(Faults(files, rows, sources, itemsMax), files, rows, sources, sharedBytes, refused);
    }

    public override ReadOnlySpan<float> Vector(int row) => VectorOf(_files, _sources[row]);

    private static RowState StateOf(SnapshotRows file, int row, int slot, float[] counts, StringPool pool)
    {
        Eligibility eligibility = file.IsForEverybody(row) ? Everybody : file.EligibilityAt(row) ?? Everybody;
        var facts = new ItemFacts(file, row, pool);
        return file.HasCounters(row)
            ? new RowState(facts, counts, row, file.CountersAsOfMs[row], eligibility, file.Versions[row], slot)
            : new RowState(facts, None, eligibility, file.Versions[row], slot);
    }

    private static ReadOnlySpan<float> VectorOf(IReadOnlyList<SnapshotRows> files, (int File, int Row) source) =>
        files[source.File].Embeddings.Slice(source.Row * files[source.File].Dimensions, files[source.File].Dimensions);

    private static List<(int Slot, string Fault)> Faults(IReadOnlyList<SnapshotRows> files, Row[] rows, (int File, int Row)[] sources, int itemsMax)
    {
        var faults = new List<(int, string)>();
        for (int slot = 0; slot < rows.Length; slot++)
        {
            ReadOnlySpan<float> vector = VectorOf(files, sources[slot]);
            if (rows[slot].State!.Facts.ItemId.Length == 0) faults.Add((slot, "the row names no item"));
            else if (vector.IsEmpty) faults.Add((slot, "it has no embedding, and no row before it has told the dimensions"));
            else if (!float.IsFinite(TensorPrimitives.MaxMagnitude(vector))) faults.Add((slot, "its embedding holds a value that is not finite"));
            else if (slot - faults.Count >= itemsMax) faults.Add((slot, $"the index holds its {itemsMax} items (ItemsMax)"));
        }

        return faults;
    }

    // Rare: the rows that are taken get slots without gaps.
    private static SnapshotBulk Without(
        List<(int Slot, string Fault)> faults, IReadOnlyList<SnapshotRows> files, Row[] rows, (int File, int Row)[] sources, long sharedBytes, RefusedRows refused)
    {
        if (faults.Count == 0) return new SnapshotBulk(files, rows, sources, sharedBytes);

        foreach ((int slot, string fault) in faults) refused.Note(rows[slot].State!.Facts.ItemId, fault);
        HashSet<int> left = [.. faults.Select(static fault => fault.Slot)];
        int[] taken = [.. Enumerable.Range(0, rows.Length).Where(slot => !left.Contains(slot))];
        Row[] kept = [.. taken.Select((slot, i) => new Row { State = rows[slot].State!.At(i) })];
        return new SnapshotBulk(files, kept, [.. taken.Select(slot => sources[slot])], sharedBytes);
    }
}
