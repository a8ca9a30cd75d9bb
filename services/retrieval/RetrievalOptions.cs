using System.ComponentModel.DataAnnotations;
using System.Numerics;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval;

/// <summary>How vectors are searched.</summary>
public enum IndexKind
{
    /// <summary>By cluster, with filter rows.</summary>
    Clustered,

    /// <summary>Every row, exactly: the reference.</summary>
    Flat,
}

/// <summary>Limits and shapes of the index and its sources. Bound from the <c>Retrieval</c> section, checked at start.</summary>
public sealed class RetrievalOptions
{
    public const string Section = "Retrieval";

    /// <summary>Most that <see cref="ClustersMax"/> may be: their centroids are looked at by every search.</summary>
    internal const int ClustersLimit = 65_536;

    /// <summary>Shard of the delta log that this replica follows. Default 0.</summary>
    [Range(0, 1_023)]
    public int Shard { get; init; }

    /// <summary>Most live items held; further ones are refused with a log line. Default 1,000,000 (about 256 MB of vectors at 64 dimensions).</summary>
    [Range(1, 10_000_000)]
    public int ItemsMax { get; init; } = 1_000_000;

    /// <summary>How vectors are searched: Clustered probes the nearest clusters, Flat looks at every row. Default Clustered.</summary>
    public IndexKind Index { get; init; } = IndexKind.Clustered;

    /// <summary>
    /// Rows up to which a search scores all that its filter admits, exactly: a smaller index is searched exactly always, a larger one
    /// where the filter admits few. Default 20,000.
    /// </summary>
    [Range(0, 10_000_000)]
    public int ExactRowsMax { get; init; } = 20_000;

    /// <summary>
    /// Leading codes of the semantic ID that name the cluster of a row. More are for pools of many millions (docs/retrieval.md). Default 1.
    /// </summary>
    [Range(1, CodePrefix.LengthMax)]
    public int CoarseLevels { get; init; } = 1;

    /// <summary>
    /// Clusters at most, beside the one of rows without codes. Each has room for 64 rows at least: 38 KB at 64 dimensions. Once they are used up
    /// a new prefix shares the cluster of a shorter one, and a new first code any. Default 4,096.
    /// </summary>
    [Range(1, ClustersLimit)]
    public int ClustersMax { get; init; } = 4_096;

    /// <summary>Clusters that one query vector probes at least. Default 32.</summary>
    [Range(1, ClustersLimit)]
    public int ProbesMin { get; init; } = 32;

    /// <summary>
    /// Rows admitted by the filter that are scanned at least for each of up to 100 results where all pass; fewer for more results and for narrower
    /// filters (ClusteredSearch says how many). More clusters are probed until then. Default 64.
    /// </summary>
    [Range(1, 100_000)]
    public int RowsPerResult { get; init; } = 64;

    /// <summary>
    /// Share of the results that may come from the farther half of the clusters probed: where it is more, clusters beyond are likely to hold more, and twice as
    /// many are probed. So vectors without structure are found at a higher price, where a fixed number of clusters would lose them. 1 turns it off. Default 0.02.
    /// </summary>
    [Range(0, 1)]
    public double FarShareMax { get; init; } = 0.02;

    /// <summary>Bits of the Bloom signature of an item's rare filter values, a power of two. Default 1,024 (128 bytes an item).</summary>
    [Range(64, 65_536)]
    public int BloomBits { get; init; } = 1_024;

    /// <summary>Bits that one rare value sets. Default 5.</summary>
    [Range(1, 16)]
    public int BloomHashes { get; init; } = 5;

    /// <summary>Share of the items from which on a filter value has an exact row of bits. Default 0.0005: what has none costs five Bloom rows and a look at the texts of each result.</summary>
    [Range(0.000001, 1)]
    public double FrequentShareMin { get; init; } = 0.0005;

    /// <summary>Filter values with an exact row at most; each costs a bit an item. Default 1,024.</summary>
    [Range(0, 65_536)]
    public int FrequentValuesMax { get; init; } = 1_024;

    /// <summary>
    /// Memory for what filters that come again have admitted, in megabytes: a bit an item for each of up to 256 filters, of which those go first that were
    /// not used for the longest time. 0 keeps none. Default 128.
    /// </summary>
    [Range(0, 65_536)]
    public int FilterMaskMegabytesMax { get; init; } = 128;

    /// <summary>
    /// Threads that one search may use while processors are idle. More answer a single request sooner and make all of them dearer: the helpers
    /// spin between the steps of a search, and 0.1 ms after it. Default 1.
    /// </summary>
    [Range(1, 64)]
    public int SearchThreadsMax { get; init; } = 1;

    /// <summary>Share of dead rows among all rows at which the index is compacted. Default 0.3.</summary>
    [Range(0.05, 0.9)]
    public double TombstonesMaxShare { get; init; } = 0.3;

    /// <summary>
    /// Deltas that may come while the index is compacted, and are then applied to the compact copy; past it the copy is given up and
    /// begun again. Default 200,000.
    /// </summary>
    [Range(1, 10_000_000)]
    public int CompactionDeltasMax { get; init; } = 200_000;

    /// <summary>Retrieve calls that may run at once; the next one is answered 503. 0 = four per core. Default 0.</summary>
    [Range(0, 10_000)]
    public int ConcurrentRequestsMax { get; init; }

    /// <summary>Time one retrieve call may take where the caller sends no budget, in milliseconds. Default 500.</summary>
    [Range(1, 60_000)]
    public int RetrieveTimeoutMs { get; init; } = 500;

    /// <summary>Part of the caller's budget kept back for merging and writing the answer, in milliseconds. Default 10.</summary>
    [Range(0, 1_000)]
    public int ResponseReserveMs { get; init; } = 10;

    /// <summary>Items kept per author ring, newest first. Default 256.</summary>
    [Range(1, 10_000)]
    public int RingItemsMax { get; init; } = 256;

    /// <summary>Author rings kept; past it the least recently read ones go first. Default 50,000.</summary>
    [Range(1, 5_000_000)]
    public int AuthorsMax { get; init; } = 50_000;

    /// <summary>Memory of all author rings, in megabytes; past it the least recently read ones go first. Default 128.</summary>
    [Range(1, 65_536)]
    public int RingMegabytesMax { get; init; } = 128;

    /// <summary>
    /// Time between two passes over all rows that bring evicted rings back, in milliseconds; never so short that they take more than a
    /// twentieth of the writer's time. Default 1,000.
    /// </summary>
    [Range(0, 600_000)]
    public int RingRestoreIntervalMs { get; init; } = 1_000;

    /// <summary>Ring entries that the in-network source looks at for one request at most. Default 20,000.</summary>
    [Range(1, 10_000_000)]
    public int InNetworkScanMax { get; init; } = 20_000;

    /// <summary>Ring entries of one author that the in-network source looks at for one request at most. Default 200.</summary>
    [Range(1, 10_000)]
    public int InNetworkPerAuthorScanMax { get; init; } = 200;

    /// <summary>Items of one author that the in-network source returns at most. Default 50.</summary>
    [Range(1, 10_000)]
    public int InNetworkPerAuthorMax { get; init; } = 50;

    /// <summary>
    /// Age past which items leave the author rings and the in-network source, in hours. 0 = no limit (the gateway has an age filter). Default 0.
    /// </summary>
    [Range(0, 1_000_000)]
    public double InNetworkRetentionHours { get; init; }

    /// <summary>
    /// Time the user tower may take for one request, waiting for its turn included, in milliseconds; past it the query vectors are
    /// means of the history. Default 50.
    /// </summary>
    [Range(1, 10_000)]
    public int TowerTimeoutMs { get; init; } = 50;

    /// <summary>Query vectors made of one user's history at most, where there is no user tower. Default 3.</summary>
    [Range(1, 16)]
    public int QueryVectorsMax { get; init; } = 3;

    /// <summary>
    /// How the answers for several query vectors become one. Max: one search, by the largest similarity. Union: one search per vector,
    /// each with an equal part of the limit. Default Max.
    /// </summary>
    [EnumDataType(typeof(QueryMerge))]
    public QueryMerge QueryMerge { get; init; } = QueryMerge.Max;

    /// <summary>
    /// Nearest rows that a value formula of two-tower chooses from, as a multiple of the source's limit; a row further away is not
    /// found however high its value. Where few rows pass the filter, see ValueWholeMax. Default 4.
    /// </summary>
    [Range(1, 64)]
    public int ValuePoolMultiple { get; init; } = 4;

    /// <summary>
    /// Rows expected to pass a request's filter up to which a value formula of two-tower chooses from all of them. Default 10,000; 0 = always
    /// from the nearest.
    /// </summary>
    [Range(0, 100_000)]
    public int ValueWholeMax { get; init; } = 10_000;

    /// <summary>Newest events of the history that shape the query and the favoured prefixes. Default 512.</summary>
    [Range(1, 4_096)]
    public int InterestEventsMax { get; init; } = 512;

    /// <summary>Half-life of an event's weight, counted back from the user's newest event, in hours. Default 168.</summary>
    [Range(0.01, 100_000)]
    public double InterestHalfLifeHours { get; init; } = 168;

    /// <summary>
    /// Semantic-ID prefixes of one length that the beam search follows, and complete ones that it looks for at least; less likely ones are
    /// followed only where these hold too few items that the filter admits. Default 32.
    /// </summary>
    [Range(1, 4_096)]
    public int BeamWidth { get; init; } = 32;

    /// <summary>Codes of a semantic ID that the beam search tells apart; items that differ in later ones only are filed together. Default 8.</summary>
    [Range(1, 16)]
    public int BeamDepth { get; init; } = 8;

    /// <summary>
    /// Prefixes and rows that the beam search looks at for one request. Where the filter admits no more rows than that, the beam is constrained to
    /// their prefixes; else what was found until then is the answer. Default 50,000.
    /// </summary>
    [Range(100, 10_000_000)]
    public int BeamLooksMax { get; init; } = 50_000;

    /// <summary>Rows of one prefix looked at, newest arrivals first. Default 4,096.</summary>
    [Range(1, 1_000_000)]
    public int PrefixScanMax { get; init; } = 4_096;

    /// <summary>Best items kept in the trending pool. Default 4,000.</summary>
    [Range(1, 100_000)]
    public int TrendingPoolMax { get; init; } = 4_000;

    /// <summary>Age at which the trending pool is computed again, in milliseconds. Default 1,000.</summary>
    [Range(1, 60_000)]
    public int TrendingRefreshMs { get; init; } = 1_000;

    /// <summary>Age at which an item's trending score has halved, in hours. Default 72.</summary>
    [Range(0.1, 100_000)]
    public double TrendingFreshnessHours { get; init; } = 72;

    /// <summary>Engagement that every item is credited with, so that new ones rank by age before anybody acts. Default 0.5.</summary>
    [Range(0.001, 1_000)]
    public double TrendingPrior { get; init; } = 0.5;

    /// <summary>Half-life of counters until a snapshot names its own, in hours. Default 72, as index-updater has it.</summary>
    [Range(0.01, 100_000)]
    public double CounterHalfLifeHours { get; init; } = 72;

    /// <summary>Delta batches waiting to be applied; past it they are discarded and fetched again. Default 1,024.</summary>
    [Range(1, 100_000)]
    public int InboxMax { get; init; } = 1_024;

    /// <summary>Deltas held while earlier ones are missing; past it the latest are discarded and fetched again. Default 10,000.</summary>
    [Range(1, 1_000_000)]
    public int ReorderMax { get; init; } = 10_000;

    /// <summary>Deltas asked for in one replay call. Default 1,000.</summary>
    [Range(1, 10_000)]
    public int ReplayBatchMax { get; init; } = 1_000;

    /// <summary>Time between two comparisons with the head of the log, in milliseconds. Default 5,000.</summary>
    [Range(10, 3_600_000)]
    public int ProbeIntervalMs { get; init; } = 5_000;

    /// <summary>Time known to be behind the head after which the replica stops being ready, in seconds. Default 30.</summary>
    [Range(1, 86_400)]
    public int LagMaxSeconds { get; init; } = 30;

    /// <summary>Time one call to index-updater may take, in milliseconds. Default 5,000.</summary>
    [Range(10, 600_000)]
    public int FeedTimeoutMs { get; init; } = 5_000;

    /// <summary>Longest pause between two tries to reach index-updater, in milliseconds. Default 5,000.</summary>
    [Range(10, 600_000)]
    public int BackoffMaxMs { get; init; } = 5_000;

    /// <summary>Calls at once, with the default filled in.</summary>
    internal int ConcurrentRequests => ConcurrentRequestsMax > 0 ? ConcurrentRequestsMax : 4 * Environment.ProcessorCount;
}

/// <summary>Rules across fields, all faults at once.</summary>
internal sealed class RetrievalOptionsRules : IValidateOptions<RetrievalOptions>
{
    public ValidateOptionsResult Validate(string? name, RetrievalOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        List<string> faults = [];
        if (options.InNetworkPerAuthorMax > options.RingItemsMax)
        {
            faults.Add($"InNetworkPerAuthorMax {options.InNetworkPerAuthorMax} is over RingItemsMax {options.RingItemsMax}: a ring cannot give more than it holds.");
        }

        if (options.InNetworkPerAuthorMax > options.InNetworkPerAuthorScanMax)
        {
            faults.Add($"InNetworkPerAuthorMax {options.InNetworkPerAuthorMax} is over InNetworkPerAuthorScanMax {options.InNetworkPerAuthorScanMax}: what is not looked at is not found.");
        }

        if (options.InNetworkPerAuthorScanMax > options.InNetworkScanMax)
        {
            faults.Add($"InNetworkPerAuthorScanMax {options.InNetworkPerAuthorScanMax} is over InNetworkScanMax {options.InNetworkScanMax}: one author could use up the request.");
        }

        if (options.ResponseReserveMs >= options.RetrieveTimeoutMs)
        {
            faults.Add($"ResponseReserveMs {options.ResponseReserveMs} leaves nothing of RetrieveTimeoutMs {options.RetrieveTimeoutMs}.");
        }

        if (options.ReplayBatchMax > options.ReorderMax)
        {
            faults.Add($"ReplayBatchMax {options.ReplayBatchMax} is over ReorderMax {options.ReorderMax}: a batch must fit the reorder buffer.");
        }

        if (options.PrefixScanMax > options.BeamLooksMax)
        {
            faults.Add($"PrefixScanMax {options.PrefixScanMax} is over BeamLooksMax {options.BeamLooksMax}: one prefix could use up the search.");
        }

        if (options.ProbesMin > options.ClustersMax)
        {
            faults.Add($"ProbesMin {options.ProbesMin} is over ClustersMax {options.ClustersMax}: there are no more clusters to probe.");
        }

        if (!BitOperations.IsPow2(options.BloomBits)) faults.Add($"BloomBits {options.BloomBits} is not a power of two: hashes are cut to that many bits.");

        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }
}
