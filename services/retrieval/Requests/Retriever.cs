using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Requests;

/// <summary>
/// Answers one retrieve call from one index: interest, then each source under the deadline, then the merge. A source that
/// fails or is late is named in its report and the others still count.
/// The sources run one after the other on the request's thread: at 100,000 items, 512 events and 1,000 follows a whole call
/// takes 9 ms of pure CPU, 4 of them in two-tower and under 1 in each other source. With several requests in flight the cores
/// are busy already, and with one alone the longest source decides; fanning out would gain little on two cores.
/// </summary>
internal sealed class Retriever(
    IEnumerable<ISource> sources, QueryMaker queries, FollowerState follower, RetrievalMetrics metrics, TimeProvider clock, IOptions<RetrievalOptions> options,
    ILogger<Retriever> logger)
{
    private readonly Dictionary<string, ISource> _sources = sources.ToDictionary(source => source.Name, StringComparer.Ordinal);
    private readonly InterestShape _shape = InterestShape.From(options.Value);

    /// <param name="index">Leased by the caller.</param>
    public async Task<RetrieveResponse> RetrieveAsync(LiveIndex index, RetrieveRequest request, FilterPlan plan, CancellationToken deadline)
    {
        IndexOrigin origin = index.Origin;
        var response = new RetrieveResponse
        {
            IndexVersion = origin.Version,
            Sequence = index.Sequence, // read before the sources look: at least this much is in the answer
            CounterHalfLifeHours = origin.CounterHalfLifeHours,
            Shard = (uint)options.Value.Shard,
            Shards = follower.Shards,
            InNetworkPerAuthorMax = (uint)options.Value.InNetworkPerAuthorMax,
        };
        long serverNowMs = clock.GetUtcNow().ToUnixTimeMilliseconds();
        // Codes and vectors of another model would point anywhere: a shard that has just gone over goes by what it knows itself.
        UserInterest interest = UserInterest.From(
            index, request.Sequence, _shape, request.HistoryModelVersion == index.ModelVersion ? request.History : null);
        HistoryItem[] history = [.. interest.History.Select(static state => CandidateMapper.MapHistory(state))];
        QueryVectors vectors = await queries.MakeAsync(index, request.Sequence, [.. history, .. interest.Elsewhere], interest, deadline);
        var filter = new RowFilter(new ItemHashSet(request.Exclude), new Audience(request.Language, request.Region), plan);
        var query = new SourceQuery(
            index, interest, vectors, [.. request.Follows.Distinct(StringComparer.Ordinal)], filter, request.NowMs > 0 ? request.NowMs : serverNowMs, serverNowMs);

        var merge = new CandidateMerge(index, vectors, query.Follows, request.IncludeText);
        foreach (SourceRequest source in request.Sources)
        {
            response.Sources.Add(Ask(_sources[source.Name], query, (int)source.Limit, merge, deadline));
        }

        response.Candidates.AddRange(merge.Candidates);
        for (int i = 0; i < history.Length; i++) history[i].Similarity = vectors.Similarity(index.VectorOf(interest.History[i]));
        response.History.AddRange(history);
        response.ModelVersion = index.ModelVersion; // after the rows: an index without a snapshot learns it from its first row
        return response;
    }

    /// <summary>What the index knows of the items of a sequence; their codes are of the answer's model version.</summary>
    public static HistoryResponse History(LiveIndex index, HistoryRequest request)
    {
        var response = new HistoryResponse { IndexVersion = index.Origin.Version };
        foreach (string itemId in request.ItemIds.Distinct(StringComparer.Ordinal))
        {
            if (index.Find(itemId) is not { } state) continue;
            HistoryItem item = CandidateMapper.MapHistory(state);
            if (request.ForShards && index.Tower is null) item.Embedding = Bytes(index.VectorOf(state));
            response.History.Add(item);
        }

        response.ModelVersion = index.ModelVersion;
        return response;
    }

    /// <summary>
    /// The items closest to an item, without itself; null where it is unknown and the request brings no embedding of it, none where it has none.
    /// </summary>
    public static SimilarResponse? Similar(LiveIndex index, SimilarRequest request, CancellationToken deadline)
    {
        RowState? state = index.Find(request.ItemId);
        if (state is null && request.Embedding.IsEmpty) return null;

        ReadOnlySpan<float> vector = state is not null ? index.VectorOf(state) : MemoryMarshal.Cast<byte, float>(request.Embedding.Span);
        var response = new SimilarResponse { IndexVersion = index.Origin.Version, ModelVersion = index.ModelVersion };
        if (vector.Length != index.Vectors.Dimensions || !vector.ContainsAnyExcept(0f)) return response; // no embedding: nothing is closer than anything else
        response.Embedding = Bytes(vector);
        var query = new QueryVectors(vector.ToArray(), index.Vectors.Dimensions);
        var filter = new RowFilter(new ItemHashSet([ItemHash.Compute(request.ItemId)]), Audience.Anyone, FilterPlan.All);
        var merge = new CandidateMerge(index, query, [], includeText: false);
        foreach (RowHit hit in index.Vectors.Search(query, (int)request.Limit, filter, deadline)) merge.Add(SourceNames.Similar, hit);
        response.Candidates.AddRange(merge.Candidates);
        return response;
    }

    public static ItemLookupResponse Lookup(LiveIndex index, ItemLookupRequest request)
    {
        var response = new ItemLookupResponse { IndexVersion = index.Origin.Version };
        foreach (string itemId in request.ItemIds.Distinct(StringComparer.Ordinal))
        {
            if (index.Find(itemId) is { } state) response.Candidates.Add(CandidateMapper.Map(state, request.IncludeText));
        }

        return response;
    }

    private static ByteString Bytes(ReadOnlySpan<float> vector) => ByteString.CopyFrom(MemoryMarshal.AsBytes(vector));

    private SourceReport Ask(ISource source, SourceQuery query, int limit, CandidateMerge merge, CancellationToken deadline)
    {
        var report = new SourceReport { Name = source.Name };
        long started = clock.GetTimestamp();
        try
        {
            deadline.ThrowIfCancellationRequested();
            List<RowHit> hits = source.Find(query, limit, deadline);
            foreach (RowHit hit in hits) merge.Add(source.Name, hit);
            report.Count = (uint)hits.Count;
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested)
        {
            report.Error = "the deadline passed before it was done";
        }
#pragma warning disable CA1031 // One source's bug must not take the feed away: it is named in the answer, logged and counted.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            report.Error = $"failed: {exception.Message}";
            Log.SourceFailed(logger, source.Name, exception);
        }

        TimeSpan elapsed = clock.GetElapsedTime(started);
        report.Micros = (long)elapsed.TotalMicroseconds;
        metrics.SourceAsked(source.Name, elapsed, (int)report.Count, report.Error.Length > 0);
        return report;
    }
}

/// <summary>Candidates by item, in the order found: the first source's best first. Each names all sources that found it.</summary>
internal sealed class CandidateMerge(LiveIndex index, QueryVectors queries, IReadOnlyCollection<string> follows, bool includeText)
{
    private readonly Dictionary<string, Candidate> _byItem = new(StringComparer.Ordinal);
    private readonly HashSet<string> _follows = new(follows, StringComparer.Ordinal);

    public List<Candidate> Candidates { get; } = [];

    public void Add(string source, RowHit hit)
    {
        if (!_byItem.TryGetValue(hit.State.Facts.ItemId, out Candidate? candidate))
        {
            candidate = CandidateMapper.Map(hit.State, includeText);
            candidate.Similarity = queries.Similarity(index.VectorOf(hit.State));
            candidate.InNetwork = _follows.Contains(hit.State.Facts.AuthorId);
            _byItem[candidate.ItemId] = candidate;
            Candidates.Add(candidate);
        }

        if (candidate.Sources.Contains(source)) return;
        candidate.Sources.Add(source);
        candidate.SourceScores.Add(hit.Score);
        candidate.SourceParts.Add((uint)hit.Part);
        candidate.PartScores.Add(hit.PartScore);
    }
}
