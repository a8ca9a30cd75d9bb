using Mesh.Contracts;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Tests;

/// <summary>Profile, served ring and request log.</summary>
public sealed class UserListsTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Adding_twice_and_removing_what_is_not_there_change_nothing()
    {
        var bench = new LogBench();
        foreach (string author in new[] { "a", "b", "a", "c" }) await bench.Profile.ChangeAsync("u1", Change(ProfileList.Follows, author), None);
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.Follows, "b", remove: true), None);
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.Follows, "b", remove: true), None);
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.Mutes, "b"), None);

        SocialProfile profile = (await bench.Reader.ContextAsync("u1", long.MaxValue, 0, None)).Profile;

        Assert.Equal(["a", "c"], profile.Follows);
        Assert.Equal(["b"], profile.Mutes);
        Assert.Empty(profile.Blocks);
    }

    [Fact]
    public async Task Muted_words_are_kept_as_typed_and_found_whatever_their_case()
    {
        var bench = new LogBench();
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.MutedWords, "Big Spoiler"), None);
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.MutedWords, "big spoiler"), None);
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.MutedWords, "cats"), None);
        Assert.Equal(["Big Spoiler", "cats"], (await bench.Reader.ContextAsync("u1", 0, 0, None)).Profile.MutedWords);

        await bench.Profile.ChangeAsync("u1", Change(ProfileList.MutedWords, "BIG SPOILER", remove: true), None);

        Assert.Equal(["cats"], (await bench.Reader.ContextAsync("u1", 0, 0, None)).Profile.MutedWords);
    }

    [Fact]
    public async Task A_profile_that_becomes_empty_leaves_no_key()
    {
        var bench = new LogBench();
        await bench.Profile.ChangeAsync("u1", Change(ProfileList.Blocks, "a"), None);

        await bench.Profile.ChangeAsync("u1", Change(ProfileList.Blocks, "a", remove: true), None);

        Assert.Empty(bench.State.Keys);
    }

    [Fact]
    public async Task A_full_list_takes_no_more_but_still_lets_go()
    {
        var bench = new LogBench();
        var full = new SocialProfile { Follows = { Enumerable.Range(0, Limits.ProfileListMax).Select(i => $"author-{i}") } };
        await bench.State.TransactAsync([new("u:u1:p", Storage.StoredMessages.ToState(full))], None);

        Assert.Equal(ProfileOutcome.ListFull, await bench.Profile.ChangeAsync("u1", Change(ProfileList.Follows, "one-more"), None));
        Assert.Equal(ProfileOutcome.Done, await bench.Profile.ChangeAsync("u1", Change(ProfileList.Follows, "author-5", remove: true), None));
        Assert.Equal(ProfileOutcome.Done, await bench.Profile.ChangeAsync("u1", Change(ProfileList.Follows, "one-more"), None));
    }

    [Fact]
    public async Task Served_items_are_there_once_the_last_served_last_and_at_most_the_cap()
    {
        var bench = new LogBench();
        await bench.Served.MarkAsync("u1", [Page(1, "a", "b", "c"), Page(2, "b")], None);
        await bench.Served.MarkAsync("u1", [Page(1, "a", "b", "c")], None);
        Assert.Equal(Hashes("a", "c", "b"), (await bench.Reader.ContextAsync("u1", 0, 0, None)).Served);

        await bench.Served.MarkAsync("u1", [Page(3, [.. Enumerable.Range(0, 9).Select(i => $"n{i}")])], None);

        Assert.Equal(Hashes(["b", .. Enumerable.Range(0, 9).Select(i => $"n{i}")]), (await bench.Reader.ContextAsync("u1", 0, 0, None)).Served);
    }

    [Fact]
    public async Task The_first_entry_of_a_request_stays()
    {
        var bench = new LogBench();
        RequestLogEntry entry = Request(1);
        await bench.Requests.AppendAsync("u1", entry, None);
        RequestLogEntry other = entry.Clone();
        other.ModelVersion = "other";

        await bench.Requests.AppendAsync("u1", other, None);

        Assert.Equal(entry, await bench.Requests.FindAsync(Ulid.Parse(entry.RequestId), None));
        Assert.Null(await bench.Requests.FindAsync(Ulid.Parse(Request(2).RequestId), None));
    }

    [Fact]
    public async Task The_request_log_of_a_user_is_bounded_and_what_it_forgets_is_gone_from_the_store()
    {
        var bench = new LogBench();
        const int Pages = 2;

        for (int i = 0; i < RequestLog.PageIds * (Pages + 2); i++) await bench.Requests.AppendAsync("u1", Request(i), None);

        int entries = bench.State.Keys.Count(key => key.StartsWith("r:", StringComparison.Ordinal));
        Assert.Equal(RequestLog.PageIds * (Pages + 1), entries);
        Assert.Null(await bench.Requests.FindAsync(Ulid.Parse(Request(0).RequestId), None));
        Assert.NotNull(await bench.Requests.FindAsync(Ulid.Parse(Request(RequestLog.PageIds).RequestId), None));
    }

    private static ProfileChange Change(ProfileList list, string value, bool remove = false) => new() { List = list, Value = value, Remove = remove };

    private static Impressions Page(int index, params string[] items) =>
        new() { EventId = Engagements.EventId(index), UserId = "u1", TimeMs = Engagements.EpochMs, ItemIds = { items } };

    private static RequestLogEntry Request(int index) =>
        new() { RequestId = Engagements.EventId(4_000_000 + index), UserId = "u1", TimeMs = Engagements.EpochMs, ModelVersion = "m", Candidates = { new LoggedCandidate { ItemId = "a", Score = 1 } } };

    private static uint[] Hashes(params string[] items) => [.. items.Select(ItemHash.Compute)];
}
