using System.Net;
using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Tests;

/// <summary>The 10,000 best of 30,000 items, through HTTP.</summary>
public sealed class LargeLimitTests
{
    private const int Items = 30_000, Limit = 10_000;

    [Theory]
    [InlineData("Index", "Flat", 1)]
    [InlineData("ExactRowsMax", "30000", 1)]
    [InlineData("ExactRowsMax", "20000", 0.999)]
    public async Task Ten_thousand_items_of_a_source_are_those_that_the_flat_index_finds(string setting, string value, double recallMin)
    {
        var random = new Random(1);
        ItemRow[] rows = [.. Enumerable.Range(0, Items).Select(i => Make.Row(
            $"item-{i}", vector: Make.RandomVector(random), codes: [(uint)random.Next(64), (uint)random.Next(64), (uint)random.Next(64)]))];
        var log = new FakeLog();
        log.Append(rows.Select((row, i) => Make.Upsert((ulong)i + 1, row)));
        await using var app = new RetrievalApp(log, ($"Retrieval:{setting}", value), ("Retrieval:TrendingPoolMax", "100"));
        HttpClient client = await app.ReadyClientAsync();
        Sequence likes = Make.Sequence(("item-1", "like", Make.Now));

        RetrieveResponse response = await (await client.PostAsync("/retrieve", Make.Request(likes, ("two-tower", Limit)))).ReadAsync<RetrieveResponse>();

        Assert.Equal("", Assert.Single(response.Sources).Error);
        (string Id, double Score)[] found = [.. response.Candidates.Select(candidate => (candidate.ItemId, candidate.SourceScores[0]))];
        (string Id, double Score)[] expected = Reference(rows, likes);
        Assert.Equal(Limit, found.Select(hit => hit.Id).Distinct().Count());
        Assert.Equal(found.OrderByDescending(hit => hit.Score), found);
        Assert.InRange(found.Select(hit => hit.Id).Intersect(expected.Select(hit => hit.Id)).Count(), recallMin * Limit, Limit);
        if (recallMin == 1) Assert.Equal(expected, found);
    }

    [Fact]
    public async Task Every_source_gives_so_many_where_it_has_them_and_one_more_is_refused()
    {
        var random = new Random(2);
        var log = new FakeLog();
        log.Append(Enumerable.Range(0, Items).Select(i => Make.Upsert((ulong)i + 1, Make.Row(
            $"item-{i}", $"author-{i % 300}", Make.RandomVector(random), codes: [(uint)random.Next(64), (uint)random.Next(64), (uint)random.Next(64)]))));
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();
        RetrieveRequest request = Make.Request(
            Make.Sequence(("item-1", "like", Make.Now)), ("two-tower", Limit), ("semantic-id", Limit), ("trending", Limit), ("in-network", Limit));
        request.Follows.AddRange(Enumerable.Range(0, 300).Select(i => $"author-{i}"));

        RetrieveResponse response = await (await client.PostAsync("/retrieve", request)).ReadAsync<RetrieveResponse>();
        request.Sources[1].Limit = Limit + 1;
        HttpResponseMessage refused = await client.PostAsync("/retrieve", request);

        Assert.All(response.Sources, report => Assert.Equal((report.Name, Limit, ""), (report.Name, (int)report.Count, report.Error)));
        Assert.InRange(response.Candidates.Count, Limit, Items);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("must be 1..10000", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private static (string Id, double Score)[] Reference(ItemRow[] rows, Sequence likes)
    {
        LiveIndex flat = Make.Index(IndexShapes.Options(IndexShapes.Flat), rows);
        UserInterest interest = UserInterest.From(flat, likes, InterestShape.From(Make.Options));
        var query = new SourceQuery(flat, interest, interest.Means, [], RowFilter.Visible, Make.Now, Make.Now);
        return [.. Make.TwoTower().Find(query, Limit, CancellationToken.None).Select(hit => (hit.State.Facts.ItemId, hit.Score))];
    }
}
