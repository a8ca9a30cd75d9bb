using Mesh.Contracts;
using Mesh.Retrieval.Values;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Tests;

[Collection(nameof(ValueFormulas))]
public sealed class ValueEndpointTests
{
    private static readonly RetrieveRequest Request = Make.Request(Make.Sequence(("seen", "like", Make.Now)), ("two-tower", 3));

    [Fact]
    public async Task The_order_follows_the_formula_and_its_changes_while_the_service_runs_and_a_bad_one_changes_nothing()
    {
        await using var app = new RetrievalApp(Log(), ("Retrieval:ValuePoolMultiple", "8"));
        HttpClient client = await app.ReadyClientAsync();
        Assert.Equal(["seen", "near", "middling"], await AskAsync(client));
        Assert.Equal(("similarity", "trending"), await StatusAsync(client));

        app.Settings.Change("Retrieval:ValueFormula", "similarity + count.like");
        Assert.Equal(["loved", "middling", "seen"], await AskAsync(client));
        Assert.Equal(("similarity + count.like", "trending"), await StatusAsync(client));

        app.Settings.Change("Retrieval:ValueFormula", "similarity + likes");
        Assert.Equal(["loved", "middling", "seen"], await AskAsync(client));
        Assert.Equal(("similarity + count.like", "trending"), await StatusAsync(client));

        app.Settings.Change("Retrieval:ValueFormula", "");
        app.Settings.Change("Retrieval:SemanticIdValueFormula", "engagement");
        Assert.Equal(["seen", "near", "middling"], await AskAsync(client));
        Assert.Equal(("similarity", "engagement"), await StatusAsync(client));
    }

    [Theory, InlineData("0", "middling", "near", "seen"), InlineData("10000", "loved", "middling", "near")]
    public async Task A_pool_of_the_limit_keeps_what_is_near_and_a_whole_one_gives_what_is_valued_most(string wholeMax, params string[] expected)
    {
        await using var app = new RetrievalApp(
            Log(), ("Retrieval:ValuePoolMultiple", "1"), ("Retrieval:ValueWholeMax", wholeMax), ("Retrieval:ValueFormula", "count.like"));

        Assert.Equal(expected, await AskAsync(await app.ReadyClientAsync()));
    }

    [Fact]
    public async Task The_union_of_query_vectors_is_chosen_by_configuration()
    {
        var log = new FakeLog();
        log.Append([Make.Upsert(1, Make.Row("a", vector: [1, 0, 0, 0], codes: [1, 1, 1])), Make.Upsert(2, Make.Row("b", vector: [0, 1, 0, 0], codes: [2, 1, 1]))]);
        for (uint i = 0; i < 4; i++) log.Append([Make.Upsert(3 + i, Make.Row($"a-{i}", vector: [1, 0, 0.01f, 0]))]);
        log.Append([Make.Upsert(7, Make.Row("b-0", vector: [0, 1, 0, 1]))]);
        await using var byMax = new RetrievalApp(log);
        await using var byUnion = new RetrievalApp(log, ("Retrieval:QueryMerge", "union"));
        RetrieveRequest request = Make.Request(Make.Sequence(("a", "like", Make.Now), ("b", "like", Make.Now)), ("two-tower", 4));
        request.Exclude.AddRange([ItemHash.Compute("a"), ItemHash.Compute("b")]);

        Assert.DoesNotContain("b-0", await AskAsync(await byMax.ReadyClientAsync(), request));
        Assert.Contains("b-0", await AskAsync(await byUnion.ReadyClientAsync(), request));
    }

    [Theory]
    [InlineData("Retrieval:ValueFormula", "similarity +", "Retrieval:ValueFormula at position 12")]
    [InlineData("Retrieval:SemanticIdValueFormula", "tan(1)", "Retrieval:SemanticIdValueFormula at position 0: 'tan' is not a function")]
    [InlineData("Retrieval:ValuePoolMultiple", "0", "ValuePoolMultiple")]
    [InlineData("Retrieval:ValuePoolMultiple", "65", "ValuePoolMultiple")]
    [InlineData("Retrieval:QueryMerge", "9", "QueryMerge")]
    public async Task A_faulty_setting_stops_the_start_and_is_named(string key, string value, string named)
    {
        await using var app = new RetrievalApp(new FakeLog(), (key, value));

        var exception = Assert.Throws<OptionsValidationException>(() => app.CreateClient());

        Assert.Contains(named, exception.Message, StringComparison.Ordinal);
    }

    private static FakeLog Log()
    {
        var log = new FakeLog();
        log.Append(
        [
            Make.Upsert(1, Make.Row("seen", vector: [1, 0, 0, 0])), Make.Upsert(2, Make.Row("near", vector: [1, 0.1f, 0, 0])),
            Make.Upsert(3, Make.Row("middling", vector: [1, 1, 0, 0], likes: 5)), Make.Upsert(4, Make.Row("loved", vector: [0, 1, 0, 0], likes: 90)),
        ]);
        return log;
    }

    private static async Task<string[]> AskAsync(HttpClient client, RetrieveRequest? request = null)
    {
        RetrieveResponse response = await (await client.PostAsync("/retrieve", request ?? Request)).ReadAsync<RetrieveResponse>();
        Assert.All(response.Sources, report => Assert.Equal("", report.Error));
        return [.. response.Candidates.Select(candidate => candidate.ItemId)];
    }

    private static async Task<(string TwoTower, string SemanticId)> StatusAsync(HttpClient client)
    {
        RetrievalStatus status = await (await client.GetAsync("/status")).ReadAsync<RetrievalStatus>();
        return (status.ValueFormula, status.SemanticIdValueFormula);
    }
}
