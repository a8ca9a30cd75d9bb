using Mesh.Contracts;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Vectors of rows, searched while one writer changes them. <see cref="FlatVectorIndex"/> looks at every row;
/// <see cref="ClusteredVectorIndex"/> at those that matter.
/// </summary>
internal interface IVectorIndex
{
    /// <summary>Length of every vector; 0 until the first is held.</summary>
    int Dimensions { get; }

    /// <summary>Slots in use, dead ones included.</summary>
    int Slots { get; }

    /// <summary>Slots whose vector no row points at any more.</summary>
    int Tombstones { get; }

    /// <summary>Bytes allocated for vectors, the references to their rows, and what finds them.</summary>
    long Bytes { get; }

    /// <summary>
    /// Writer only. Stores a vector and tells its slot; <paramref name="row"/> becomes findable by <see cref="Publish"/>,
    /// after its state, of these facts and this eligibility, names the slot. -1 where no room is left.
    /// </summary>
    int Upsert(Row row, ItemFacts facts, Eligibility eligibility, ReadOnlySpan<float> vector);

    /// <summary>Writer only. Stores many rows in an index that holds none yet, and makes them findable all at once.</summary>
    /// <param name="threads">Threads that work on it.</param>
    void Fill(BulkRows rows, int threads);

    /// <summary>Whether a row whose facts change so, and whose vector does not, may keep its slot.</summary>
    bool StaysPut(ItemFacts before, ItemFacts after);

    /// <summary>Writer only. Puts another state into a row that keeps its slot; its facts are the same or <see cref="StaysPut"/> says yes.</summary>
    void Change(Row row, RowState after);

    /// <summary>Writer only. Makes every slot stored so far visible to searches that start from now on.</summary>
    void Publish();

    /// <summary>Writer only. Counts the slot of a state as dead; the row has another slot now, or no state.</summary>
    void Delete(RowState state);

    /// <summary>The vector of a slot that a RowState names.</summary>
    ReadOnlySpan<float> VectorAt(int slot);

    /// <summary>
    /// The k rows most similar to the queries among those that the filter admits, best first. Any thread, without locks.
    /// A row changed during the search is seen before or after the change, and named once.
    /// </summary>
    List<RowHit> Search(QueryVectors queries, int k, RowFilter filter, CancellationToken cancellation);

    /// <summary>The k rows most similar to each of the queries alone, as so many searches would find them; those that look at the same rows share the scan.</summary>
    List<RowHit>[] SearchEach(QueryVectors queries, int k, RowFilter filter, CancellationToken cancellation) =>
        [.. queries.Each().Select(one => Search(one, k, filter, cancellation))];

    /// <summary>
    /// How many rows the filter is expected to admit, as far as can be told without looking at any; who looks and what the request excludes does
    /// not count. Any thread.
    /// </summary>
    double Expected(RowFilter filter);

    /// <summary>
    /// All rows that the filter admits, each once with the state that it was admitted in, in no order; null where they are, or may be, more
    /// than <paramref name="most"/>. Any thread, without locks; a row changed meanwhile is seen before or after the change.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    List<Seen>? Admitted(RowFilter filter, int most, CancellationToken cancellation);

    /// <summary>Rows that are alive with the state that says so, in slot order. Any thread.</summary>
    IEnumerable<Seen> Live();
}
