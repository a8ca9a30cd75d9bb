using Mesh.Contracts;

namespace Mesh.EndToEnd.Tests;

/// <summary>A world small enough to reason about: topics with words of their own, authors who write on one topic, users who like one.</summary>
public static class SmallWorld
{
    public static readonly string[] Topics = ["cooking", "football", "astronomy", "gardening"];

    private static readonly Dictionary<string, string[]> Words = new()
    {
        ["cooking"] = ["pan", "recipe", "onion", "butter", "roast", "sauce", "oven", "flour"],
        ["football"] = ["goal", "striker", "league", "keeper", "penalty", "derby", "coach", "pitch"],
        ["astronomy"] = ["planet", "orbit", "telescope", "galaxy", "comet", "nebula", "lunar", "star"],
        ["gardening"] = ["seed", "soil", "prune", "tomato", "compost", "tulip", "mulch", "bulb"],
    };

    /// <summary>Items per topic from three authors of that topic: item "cooking-0" by "cook-a0"...</summary>
    public static List<ItemRow> Items(int perTopic, long now) =>
    [
        .. from topic in Topics
           from i in Enumerable.Range(0, perTopic)
           let random = new Random(HashCode(topic, i))
           let words = Enumerable.Range(0, 6).Select(_ => Words[topic][random.Next(8)])
           select new ItemRow($"{topic}-{i}", Author(topic, i % 3), string.Join(' ', words), [topic], now - (i * 60_000L)),
    ];

    public static string Author(string topic, int k) => $"{topic}-author-{k}";

    public static EventRow Event(string user, string item, string action, long time, int salt = 0) =>
        new(Ulid.NewUlid(DateTimeOffset.FromUnixTimeMilliseconds(time), Entropy(user, item, action, salt)).ToString(), user, item, action, time);

    private static byte[] Entropy(string user, string item, string action, int salt)
    {
        byte[] bytes = new byte[10];
        BitConverter.TryWriteBytes(bytes, ItemHash.Compute($"{user}|{item}|{action}|{salt}"));
        BitConverter.TryWriteBytes(bytes.AsSpan(4), ItemHash.Compute($"{salt}|{action}|{item}|{user}"));
        return bytes;
    }

    private static int HashCode(string topic, int i) => (int)(ItemHash.Compute($"{topic}{i}") & int.MaxValue);
}
