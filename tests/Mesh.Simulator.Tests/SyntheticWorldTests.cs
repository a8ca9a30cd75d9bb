using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Tests;

public sealed class SyntheticWorldTests
{
    private static readonly DateTimeOffset End = new(2026, 11, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly SyntheticWorld Default = SyntheticWorld.Create(new SyntheticOptions { End = End });
    private static readonly ItemBody[] Items = [.. Default.Items()];
    private static readonly EventBody[] Events = [.. Default.Events()];

    [Fact]
    public void A_seed_gives_the_same_world_every_time()
    {
        SyntheticWorld again = SyntheticWorld.Create(new SyntheticOptions { End = End });

        Assert.Equal(Items.Select(Describe), again.Items().Select(Describe));
        Assert.Equal(Default.Follows(), again.Follows());
        Assert.Equal(Events, again.Events());
    }

    [Fact]
    public void Another_seed_gives_another_world()
    {
        SyntheticWorld other = SyntheticWorld.Create(new SyntheticOptions { End = End, Seed = 2 });

        Assert.NotEqual(Items.Select(Describe), other.Items().Select(Describe));
        Assert.Empty(Events.Select(row => row.EventId).Intersect(other.Events().Select(row => row.EventId)));
    }

    [Fact]
    public void Sizes_are_as_asked_and_every_row_passes_the_gateways_limits()
    {
        Assert.Equal((2_000, 20_000), (Items.Length, Events.Length));
        Assert.Equal(Default.FollowCount, Default.Follows().Count());
        Assert.Equal(Items.Length, Items.Select(item => item.ItemId).Distinct().Count());
        Assert.Equal(Events.Length, Events.Select(row => row.EventId).Distinct().Count());
        Assert.All(Items, item =>
        {
            Assert.True(MeshId.IsValid(item.ItemId) && MeshId.IsValid(item.AuthorId));
            Assert.InRange(item.Text.Length, 1, Limits.TextLengthMax);
            Assert.InRange(item.Tags.Count, 1, Limits.TagsMax);
        });
        Assert.All(Events, row => Assert.True(MeshId.IsUlid(row.EventId) && MeshId.IsValid(row.UserId)));
    }

    [Fact]
    public void Events_come_in_order_between_the_items_creation_and_the_end()
    {
        Dictionary<string, long> created = Items.ToDictionary(item => item.ItemId, item => item.CreatedAt!.Value);

        Assert.True(Events.Zip(Events.Skip(1)).All(pair => pair.First.Time <= pair.Second.Time));
        Assert.All(Events, row => Assert.InRange(row.Time, created[row.ItemId] + 1, End.ToUnixTimeMilliseconds()));
    }

    [Fact]
    public void All_actions_of_the_taxonomy_occur_and_no_others()
    {
        Assert.Equal(ActionTaxonomy.Default.Names.Order(), Events.Select(row => row.Action).Distinct().Order());
    }

    [Fact]
    public void Users_like_what_the_hidden_truth_says_they_want_and_reject_what_it_says_they_do_not()
    {
        double liked = MeanAffinity("like");
        double clicked = MeanAffinity("click");
        double rejected = MeanAffinity("not_interested");

        Assert.True(liked > clicked + 0.2, $"like {liked:0.00}, click {clicked:0.00}");
        Assert.True(clicked > rejected + 1, $"click {clicked:0.00}, not_interested {rejected:0.00}");
    }

    [Fact]
    public void Users_follow_authors_whose_items_they_want_more_than_others()
    {
        ILookup<string, int> itemsOf = Items.Select((item, index) => (item.AuthorId, index)).ToLookup(pair => pair.AuthorId, pair => pair.index);
        double followed = Default.Follows().SelectMany(follow => itemsOf[follow.AuthorId].Select(item => Default.Affinity(IndexOf(follow.UserId), item))).Average();
        double any = Enumerable.Range(0, 200).SelectMany(user => Enumerable.Range(0, 200).Select(item => Default.Affinity(user, item * 10))).Average();

        Assert.True(followed > any + 0.5, $"followed {followed:0.00}, any {any:0.00}");
    }

    [Fact]
    public void A_world_too_small_for_its_events_is_an_error_and_not_an_endless_loop()
    {
        SyntheticWorld tiny = SyntheticWorld.Create(new SyntheticOptions { End = End, Users = 1, Authors = 1, Items = 1, Events = 1_000 });

        DataException exception = Assert.Throws<DataException>(() => tiny.Events().Count());

        Assert.Contains("too few for 1000 events", exception.Message, StringComparison.Ordinal);
    }

    private static double MeanAffinity(string action) =>
        Events.Where(row => row.Action == action).Average(row => Default.Affinity(IndexOf(row.UserId), IndexOf(row.ItemId)));

    private static int IndexOf(string id) => int.Parse(id.Split('-')[1], null) - 1;

    private static string Describe(ItemBody item) =>
        $"{item.ItemId} {item.AuthorId} {item.CreatedAt} {item.Language} {item.DurationMs} {item.Text} {string.Join(',', item.Tags)}";
}
