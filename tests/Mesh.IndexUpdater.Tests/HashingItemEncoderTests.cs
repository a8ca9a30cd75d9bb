using Mesh.Contracts;
using Mesh.IndexUpdater.Encoders;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Tests;

public sealed class HashingItemEncoderTests
{
    private readonly HashingItemEncoder _encoder = new();

    [Fact]
    public void Every_item_gets_a_unit_vector_even_one_with_nothing_to_go_by()
    {
        Item[] items =
        [
            Item("a", "some words about hiking", "author"), new() { ItemId = "bare" }, Item("b", "", ""), Item("c", "!!!", ""),
            Item("d", new string('x', 5_000), "author"), Item("e", string.Join(' ', Enumerable.Range(0, 2_000)), "author"),
        ];

        Assert.All(items, item => Assert.Equal(1f, DotProduct.Compute(_encoder.Encode(item), _encoder.Encode(item)), 1e-5f));
        Assert.NotEqual(_encoder.Encode(new Item { ItemId = "bare" }), _encoder.Encode(new Item { ItemId = "other" }));
    }

    [Fact]
    public void The_same_item_gives_the_same_vector_wherever_it_is_encoded() =>
        Assert.Equal(_encoder.Encode(Item("a", "Hello, world", "x", "tag")), new HashingItemEncoder().Encode(Item("b", "hello world!", "x", "TAG ")));

    [Fact]
    public void Items_are_closer_the_more_they_share()
    {
        Item item = Item("a", "a quiet morning hike in the snowy mountains", "ana", "hiking", "winter");
        float sameTags = Cosine(item, Item("b", "packing list for the weekend", "bob", "hiking", "winter"));
        float sameAuthor = Cosine(item, Item("c", "tax forms explained", "ana", "money"));
        float sameText = Cosine(item, Item("d", "a quiet morning hike in the snowy hills", "eve", "travel"));

        float[] unrelated = [.. Enumerable.Range(0, 200).Select(i => Cosine(item, Item($"u{i}", $"word{i} other{i} thing{i}", $"author{i}", $"tag{i}")))];

        // 64 dimensions: unrelated items lie around 0 with a standard deviation of 1/8.
        Assert.InRange(unrelated.Average(), -0.05f, 0.05f);
        Assert.True(unrelated.Count(cosine => cosine > sameTags) <= 4, $"tags {sameTags}");
        Assert.True(unrelated.Count(cosine => cosine > sameText) <= 4, $"text {sameText}");
        Assert.True(unrelated.Count(cosine => cosine > sameAuthor) <= 40, $"author {sameAuthor}");
        Assert.True(sameTags > sameAuthor);
    }

    [Fact]
    public void A_long_text_does_not_drown_the_tags()
    {
        string longText = string.Join(' ', Enumerable.Range(0, 600).Select(i => $"word{i}"));

        float shared = Cosine(Item("a", longText, "ana", "hiking", "winter"), Item("b", "something short", "bob", "hiking", "winter"));

        Assert.True(shared > 0.2f, $"{shared}");
    }

    private float Cosine(Item x, Item y) => DotProduct.Compute(_encoder.Encode(x), _encoder.Encode(y));

    private static Item Item(string id, string text, string author, params string[] tags) => new() { ItemId = id, Text = text, AuthorId = author, Tags = { tags } };
}
