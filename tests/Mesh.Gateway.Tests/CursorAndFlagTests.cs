using Mesh.Contracts;
using Mesh.Gateway.Feed;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Tests;

/// <summary>What travels through clients (cursors), and what is computed without state (arms).</summary>
public sealed class CursorAndFlagTests
{
    private static readonly string Session = Ulid.NewUlid().ToString();

    [Fact]
    public void A_cursor_comes_back_as_it_was_given()
    {
        FeedCursor cursor = FeedCursor.After(null, Session, ["a", "b"]);

        FeedCursor? back = FeedCursor.Decode(cursor.Encode("u"), "u", out _);

        Assert.Equal((Session, 2), (back!.Session, back.Page));
        Assert.Equal([ItemHash.Compute("a"), ItemHash.Compute("b")], back.Served);
    }

    [Fact]
    public void A_session_keeps_its_first_request_and_its_newest_thousand_items()
    {
        FeedCursor? cursor = null;
        for (int page = 0; page < 20; page++) cursor = FeedCursor.After(cursor, page == 0 ? Session : Ulid.NewUlid().ToString(), Enumerable.Range(page * 200, 200).Select(i => $"i{i}"));

        Assert.Equal((Session, 21, 1_000), (cursor!.Session, cursor.Page, cursor.Served.Count));
        Assert.Equal(ItemHash.Compute("i3999"), cursor.Served[^1]);
        Assert.InRange(cursor.Encode("u").Length, 5_000, 6_000);
        Assert.NotNull(FeedCursor.Decode(cursor.Encode("u"), "u", out _));
    }

    [Fact]
    public void No_damaged_cursor_is_taken_and_none_throws()
    {
        string text = FeedCursor.After(null, Session, ["a", "b", "c"]).Encode("u");
        var random = new Random(7);
        for (int i = 0; i < 5_000; i++)
        {
            char[] damaged = text.ToCharArray();
            int at = random.Next(damaged.Length - 1); // the last character holds padding bits that mean nothing
            damaged[at] = "ABCDEFGHabcdefgh0123-_!%\u00e9"[random.Next(25)];
            string candidate = random.Next(4) == 0 ? new string(damaged)[..random.Next(text.Length)] : new string(damaged);

            if (candidate != text) Assert.Null(FeedCursor.Decode(candidate, "u", out _));
        }
    }

    [Fact]
    public void A_cursor_of_another_version_says_so()
    {
        byte[] bytes = System.Buffers.Text.Base64Url.DecodeFromChars(FeedCursor.After(null, Session, ["a"]).Encode("u"));
        bytes[0] = 9;

        Assert.Null(FeedCursor.Decode(System.Buffers.Text.Base64Url.EncodeToString(bytes), "u", out string fault));
        Assert.Contains("version is 9", fault);
    }

    // Computed by hand from the published constants of FNV-1a and of murmur3's finaliser.
    [Fact]
    public void Buckets_are_the_same_on_every_machine_and_every_day()
    {
        Assert.Equal(
            [7162, 4452, 1377], new[] { ("ranker", "user-1"), ("ranker", "user-2"), ("other", "user-1") }.Select(pair => FeatureFlags.Bucket(pair.Item1, pair.Item2)));
    }

    [Fact]
    public void Arms_get_their_share_of_users_and_flags_are_independent()
    {
        var flags = new FeatureFlags(Options.Create(new GatewayOptions
        {
            Flags = [Flag("ranker", ("transformer", 5), ("heuristic", 95)), Flag("colour", ("red", 50), ("blue", 50))],
        }));
        string[] users = [.. Enumerable.Range(0, 40_000).Select(i => $"user-{i}")];

        IReadOnlyDictionary<string, string>[] arms = [.. users.Select(flags.ArmsOf)];

        double transformer = arms.Count(arm => arm["ranker"] == "transformer") / (double)users.Length;
        double redOfTransformer = arms.Where(arm => arm["ranker"] == "transformer").Average(arm => arm["colour"] == "red" ? 1.0 : 0.0);
        Assert.InRange(transformer, 0.045, 0.055); // four standard deviations of a 5 % draw are 0.0044
        Assert.InRange(redOfTransformer, 0.45, 0.55);
        Assert.Equal(arms[17], flags.ArmsOf("user-17"));
    }

    [Fact]
    public void Raising_a_share_moves_no_user_out_of_the_arm_that_grew()
    {
        static FeatureFlags With(double percent) =>
            new(Options.Create(new GatewayOptions { Flags = [Flag("ranker", ("transformer", percent), ("heuristic", 100 - percent))] }));
        FeatureFlags before = With(5), after = With(20);

        IEnumerable<string> moved = Enumerable.Range(0, 5_000).Select(i => $"user-{i}")
            .Where(user => before.ArmsOf(user)["ranker"] == "transformer" && after.ArmsOf(user)["ranker"] != "transformer");

        Assert.Empty(moved);
    }

    [Fact]
    public void Without_configuration_everyone_is_in_the_transformer_arm()
    {
        var flags = new FeatureFlags(Options.Create(new GatewayOptions()));

        Assert.Equal("transformer", flags.ArmsOf("anyone")["ranker"]);
    }

    [Fact]
    public void Flags_that_cannot_work_are_refused_with_all_faults()
    {
        ValidateOptionsResult result = new GatewayOptionsRules().Validate(null, new GatewayOptions
        {
            ApiKeys = ["short"], Flags = [Flag("a", ("x", 60), ("y", 60)), Flag("a", ("", 100))],
        });

        Assert.True(result.Failed);
        Assert.Equal(4, result.Failures!.Count());
        Assert.Contains(result.Failures!, fault => fault.Contains("add up to 120 percent"));
    }

    private static FlagOptions Flag(string name, params (string Name, double Percent)[] arms) =>
        new() { Name = name, Arms = [.. arms.Select(arm => new ArmOptions { Name = arm.Name, Percent = arm.Percent })] };
}
