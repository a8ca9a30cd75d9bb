using System.Diagnostics.Metrics;
using Mesh.Contracts;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Requests;
using Mesh.Retrieval.Sources;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Tests;

public sealed class RetrieverTests
{
    [Fact]
    public async Task A_source_that_fails_or_is_late_is_named_and_the_others_still_count()
    {
        LiveIndex index = Make.Index(Make.Row("a"));
        using var deadline = new CancellationTokenSource();
        Retriever retriever = New(
            new FakeSource("two-tower", _ => throw new InvalidOperationException("broken")), new TrendingSource(),
            new FakeSource("semantic-id", token =>
            {
                deadline.Cancel();
                token.ThrowIfCancellationRequested();
                return [];
            }),
            new FakeSource("in-network", _ => throw new InvalidOperationException("must not be asked")));

        RetrieveResponse response = await retriever.RetrieveAsync(
            index, Make.Request(null, ("two-tower", 5), ("trending", 5), ("semantic-id", 5), ("in-network", 5)), FilterPlan.All, deadline.Token);

        Assert.Equal("a", Assert.Single(response.Candidates).ItemId);
        Assert.Equal(
            ["failed: broken", "", "the deadline passed before it was done", "the deadline passed before it was done"],
            response.Sources.Select(report => report.Error));
        Assert.Equal([0u, 1u, 0u, 0u], response.Sources.Select(report => report.Count));
    }

    [Fact]
    public async Task History_holds_each_known_item_once_with_its_similarity()
    {
        LiveIndex index = Make.Index(Make.Row("a", "ann", [1, 0, 0, 0], [1, 2, 3], tags: ["t"]), Make.Row("b", vector: [0, 1, 0, 0], codes: [9, 9, 9]));
        Sequence sequence = Make.Sequence(
            ("a", "like", Make.Now - 3), ("unknown", "like", Make.Now - 2), ("a", "click", Make.Now - 1), ("b", "impression", Make.Now));

        RetrieveResponse response = await New(new TrendingSource()).RetrieveAsync(index, Make.Request(sequence, ("trending", 1)), FilterPlan.All, CancellationToken.None);

        Assert.Equal(["b", "a"], response.History.Select(item => item.ItemId));
        Assert.Equal([1u, 2u, 3u], response.History[1].Codes);
        Assert.Equal(["t"], response.History[1].Tags);
        Assert.Equal("ann", response.History[1].AuthorId);
        Assert.Equal(1, response.History[1].Similarity, 1e-5);
        Assert.Equal(0, response.History[0].Similarity, 1e-5);
    }

    [Fact]
    public async Task A_candidate_found_twice_comes_once_with_both_sources_its_counters_and_text_only_where_asked()
    {
        LiveIndex index = Make.Index(Make.Row("a", "ann", likes: 3, text: "words"));
        RetrieveRequest request = Make.Request(null, ("trending", 5), ("in-network", 5));
        request.Follows.Add("ann");
        Retriever retriever = New(new TrendingSource(), Make.InNetwork(50, 0));

        Candidate bare = Assert.Single((await retriever.RetrieveAsync(index, request, FilterPlan.All, CancellationToken.None)).Candidates);
        request.IncludeText = true;
        Candidate full = Assert.Single((await retriever.RetrieveAsync(index, request, FilterPlan.All, CancellationToken.None)).Candidates);

        Assert.Equal(["trending", "in-network"], bare.Sources);
        Assert.True(bare.InNetwork);
        Assert.Equal(Make.Counters(3), bare.Counters);
        Assert.Equal(0, bare.Similarity);
        Assert.Equal("", bare.Text);
        Assert.Equal("words", full.Text);
    }

    [Fact]
    public async Task A_users_sources_are_measured_by_name()
    {
        var measured = new List<string?>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Name == "mesh.retrieval.source.candidates") self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<int>((_, count, tags, _) =>
        {
            lock (measured) measured.Add($"{tags[0].Value}={count}");
        });
        listener.Start();

        await New(new FakeSource("two-tower", _ => [])).RetrieveAsync(
            Make.Index(Make.Row("a")), Make.Request(null, ("two-tower", 5)), FilterPlan.All, CancellationToken.None);

        lock (measured) Assert.Contains("two-tower=0", measured);
    }

    internal static Retriever New(params ISource[] sources)
    {
        RetrievalMetrics metrics = Make.Metrics;
        IOptions<RetrievalOptions> options = Microsoft.Extensions.Options.Options.Create(Make.Options);
        var queries = new QueryMaker(metrics, TimeProvider.System, options, NullLogger<QueryMaker>.Instance);
        return new Retriever(sources, queries, new FollowerState(TimeProvider.System), metrics, TimeProvider.System, options, NullLogger<Retriever>.Instance);
    }

    private sealed class FakeSource(string name, Func<CancellationToken, List<RowHit>> find) : ISource
    {
        public string Name => name;

        public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline) => find(deadline);
    }
}
