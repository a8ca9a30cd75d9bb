using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Pipeline.Filters;
using Mesh.Gateway.Pipeline.Plan;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>Each filter alone: what it keeps, what it removes, and when it has nothing to do.</summary>
public sealed class FilterTests
{
    private const long HourMs = 3_600_000;

    [Theory]
    [InlineData("cat", "The cat sat", true)]
    [InlineData("cat", "The CAT!", true)]
    [InlineData("cat", "a category of cats", false)]
    [InlineData("#cat", "so #Cat", true)]
    [InlineData("new york", "I love New-York today", true)]
    [InlineData("new york", "a new place in york", false)]
    [InlineData("new york", "new", false)]
    [InlineData("ÜBER", "alles über uns", true)]
    [InlineData("caf\u00e9", "the CAF\u00c9 there", true)]
    [InlineData("don't", "I don't know", true)]
    [InlineData("don't", "dont", false)]
    [InlineData("東京", "明日は東京へ行く", true)]
    [InlineData("東京", "京東の本", false)]
    [InlineData("🎃", "boo 🎃👻", true)]
    [InlineData("МОСКВА", "в москва вчера", true)]
    public async Task Muted_words_are_compared_by_tokens(string word, string text, bool isRemoved)
    {
        FeedQuery query = Query(profile: new SocialProfile { MutedWords = { word } });
        Candidate item = FakeServices.Item("i", "a");
        item.Text = text;

        Partition partition = await new MutedWordsFilter().FilterAsync(query, [new FeedCandidate(item)], default);

        Assert.Equal(isRemoved, partition.Removed.Count == 1);
        Assert.NotEqual(isRemoved, partition.Kept.Count == 1);
    }

    [Fact]
    public async Task A_muted_word_matches_tags_too()
    {
        Candidate item = FakeServices.Item("i", "a");
        item.Tags.Add("Spoiler-Alert");

        Partition partition = await new MutedWordsFilter().FilterAsync(
            Query(profile: new SocialProfile { MutedWords = { "spoiler" } }), [new FeedCandidate(item)], default);

        Assert.Single(partition.Removed);
    }

    [Fact]
    public void A_muted_text_that_is_not_valid_unicode_is_still_split()
    {
        Assert.Equal(["a", "b"], Tokens.Of("a \ud800 b"));
    }

    [Fact]
    public async Task Authors_answered_with_block_author_are_blocked_through_the_history()
    {
        FeedQuery query = Query(profile: new SocialProfile { Blocks = { "listed" } }, ("bad-item", "block_author"), ("fine-item", "like"));
        query.History = [new HistoryItem { ItemId = "bad-item", AuthorId = "answered" }, new HistoryItem { ItemId = "fine-item", AuthorId = "liked" }];

        Partition partition = await new BlockedAuthorsFilter().FilterAsync(
            query, Items(("1", "listed"), ("2", "answered"), ("3", "liked")), default);

        Assert.Equal(["1", "2"], Ids(partition.Removed));
        Assert.Equal(["3"], Ids(partition.Kept));
    }

    [Fact]
    public async Task Negative_answers_remove_the_item_and_positive_ones_do_not()
    {
        FeedQuery query = Query(null, ("a", "not_interested"), ("b", "report"), ("c", "like"));

        Partition partition = await new NotInterestedFilter().FilterAsync(
            query, Items(("a", "x"), ("b", "x"), ("c", "x"), ("d", "x")), default);

        Assert.Equal(["a", "b"], Ids(partition.Removed));
    }

    [Fact]
    public async Task Seen_is_the_engaged_set_the_sequence_and_excluded_ids_but_not_impressions()
    {
        FeedQuery query = Query(null, ("in-sequence", "like"), ("only-shown", "impression"));
        query.Context.Engaged.Add(ItemHash.Compute("long-ago"));
        query = Copy(query, new HashSet<string> { "excluded" });

        Partition partition = await new SeenFilter().FilterAsync(
            query, Items(("in-sequence", "x"), ("only-shown", "x"), ("long-ago", "x"), ("excluded", "x"), ("new", "x")), default);

        Assert.Equal(["only-shown", "new"], Ids(partition.Kept));
    }

    [Fact]
    public async Task Served_counts_only_for_load_more()
    {
        FeedQuery fresh = Query();
        fresh.Context.Served.Add(ItemHash.Compute("before"));
        var more = new FeedQuery
        {
            RequestId = fresh.RequestId, UserId = "u", NowMs = 0, Limit = 5, Context = fresh.Context,
            Cursor = new FeedCursor(Ulid.NewUlid().ToString(), 2, [ItemHash.Compute("page-1")]),
        };

        Partition partition = await new ServedFilter().FilterAsync(more, Items(("before", "x"), ("page-1", "x"), ("new", "x")), default);

        Assert.False(new ServedFilter().IsEnabled(fresh));
        Assert.Equal(["new"], Ids(partition.Kept));
    }

    [Fact]
    public async Task Own_and_muted_authors_and_items_without_an_author_are_removed()
    {
        FeedQuery query = Query(new SocialProfile { Mutes = { "muted" } });

        Assert.Equal(["1"], Ids((await new OwnFilter().FilterAsync(query, Items(("1", "u"), ("2", "x")), default)).Removed));
        Assert.Equal(["2"], Ids((await new MutedAuthorsFilter().FilterAsync(query, Items(("1", "u"), ("2", "muted")), default)).Removed));
        Assert.Equal(["1"], Ids((await new CoreDataFilter().FilterAsync(query, Items(("1", ""), ("2", "x")), default)).Removed));
    }

    [Fact]
    public async Task Age_is_off_at_zero_and_exact_otherwise()
    {
        FeedQuery query = Query();
        FeedCandidate[] items = Items(("young", "x"), ("old", "x"));
        items[0].Data.CreatedAtMs = query.NowMs - (48 * HourMs);
        items[1].Data.CreatedAtMs = query.NowMs - (48 * HourMs) - 1;

        Assert.False(new AgeFilter(Params(("max_age_hours", "0"))).IsEnabled(query));
        Assert.Equal(["old"], Ids((await new AgeFilter(Params(("max_age_hours", "48"))).FilterAsync(query, items, default)).Removed));
    }

    [Theory]
    [InlineData("hidden", "", "", false)]
    [InlineData("en", "", "", true)]
    [InlineData("en", "en-GB", "", true)]
    [InlineData("en", "de", "", false)]
    [InlineData("en", "eng", "", false)]
    [InlineData("en-GB", "en", "", false)]
    [InlineData("region:DE", "", "de", true)]
    [InlineData("region:DE", "", "FR", false)]
    [InlineData("region:DE", "", "", true)]
    [InlineData("restricted", "", "", false)]
    [InlineData("sensitive", "", "", true)]
    public async Task Eligibility_decides_by_viewer(string rule, string language, string region, bool isKept)
    {
        Candidate item = FakeServices.Item("i", "a");
        if (rule == "hidden") item.Eligibility.Hidden = true;
        else if (rule.StartsWith("region:", StringComparison.Ordinal)) item.Eligibility.Regions.Add(rule[7..]);
        else if (rule is "restricted" or "sensitive") item.Eligibility.Safety = rule;
        else item.Eligibility.Languages.Add(rule);
        var query = new FeedQuery { RequestId = "r", UserId = "u", NowMs = 0, Limit = 1, Language = language, Region = region };

        Partition partition = await new EligibilityFilter(Params()).FilterAsync(query, [new FeedCandidate(item)], default);

        Assert.Equal(isKept, partition.Kept.Count == 1);
    }

    [Fact]
    public async Task The_safety_class_that_is_allowed_is_a_param()
    {
        Candidate item = FakeServices.Item("i", "a");
        item.Eligibility.Safety = "sensitive";

        Assert.Single(
            (await new EligibilityFilter(Params(("safety_max", "safe"))).FilterAsync(Query(), [new FeedCandidate(item)], default)).Removed);
    }

    internal static StageParams Params(params (string Name, string Value)[] values) =>
        new(values.ToDictionary(pair => pair.Name, pair => pair.Value), fault => throw new InvalidOperationException(fault));

    private static FeedQuery Query(SocialProfile? profile = null, params (string ItemId, string Action)[] sequence) => new()
    {
        RequestId = "r", UserId = "u", NowMs = GatewayApp.Now.ToUnixTimeMilliseconds(), Limit = 10,
        Context = new UserContext
        {
            Profile = profile ?? new SocialProfile(),
            Sequence = new Sequence
            {
                ItemIds = { sequence.Select(entry => entry.ItemId) },
                Actions = ByteString.CopyFrom([.. sequence.Select(entry => (byte)ActionTaxonomy.Default.IndexOf(entry.Action))]),
            },
        },
    };

    private static FeedQuery Copy(FeedQuery query, IReadOnlySet<string> excluded) =>
        new() { RequestId = query.RequestId, UserId = query.UserId, NowMs = query.NowMs, Limit = query.Limit, Context = query.Context, ExcludeIds = excluded };

    private static FeedCandidate[] Items(params (string ItemId, string AuthorId)[] items) =>
        [.. items.Select(item => new FeedCandidate(FakeServices.Item(item.ItemId, item.AuthorId)))];

    private static IEnumerable<string> Ids(IEnumerable<FeedCandidate> candidates) => candidates.Select(candidate => candidate.ItemId);
}
