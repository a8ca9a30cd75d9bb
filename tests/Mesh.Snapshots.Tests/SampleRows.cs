using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Snapshots.Tests;

/// <summary>Seeded rows with everything that can vary: missing parts, empty and long texts, every script, extreme numbers.</summary>
internal static class SampleRows
{
    private static readonly string[] Texts = ["", "plain words", "Straße 猫 👍🏽", "line\nbreak \0 zero", new string('x', 5_000)];

    public static List<ItemRow> Make(int count, int seed, int dimensions = 64, int levels = 3)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i => Row(random, i, dimensions, levels))];
    }

    private static ItemRow Row(Random random, int number, int dimensions, int levels)
    {
        var item = new Item
        {
            ItemId = $"item-{number}",
            AuthorId = $"author-{random.Next(10)}",
            Text = Texts[random.Next(Texts.Length)],
            CreatedAtMs = random.NextInt64(),
            Language = random.Next(2) == 0 ? "" : "pt-BR",
            DurationMs = random.Next(2) * 30_000L,
        };
        for (int t = random.Next(4); t > 0; t--) item.Tags.Add($"tag {random.Next(20)}");
        for (int a = random.Next(3); a > 0; a--) item.Attributes[$"key{a}"] = a == 1 ? "" : "välue";

        var embedding = new float[dimensions];
        for (int d = 0; d < dimensions; d++) embedding[d] = (float)(random.NextDouble() - 0.5);
        var row = new ItemRow { Item = item, Embedding = ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(embedding)), Version = (ulong)random.NextInt64() << 1, ModelVersion = "hash64-1" };
        if (levels > 0 && random.Next(5) > 0)
        {
            for (int level = 0; level < levels; level++) row.Codes.Add((uint)random.Next(ushort.MaxValue + 1));
        }

        if (random.Next(3) > 0)
        {
            row.Counters = new Counters { AsOfMs = random.NextInt64() };
            for (int i = 0; i < 15; i++) row.Counters.Counts.Add(random.Next(2) == 0 ? 0 : (float)random.NextDouble() * 1e6f);
        }

        row.Eligibility = random.Next(3) switch
        {
            0 => null,
            1 => new Eligibility(),
            _ => new Eligibility { Hidden = random.Next(2) == 0, Languages = { "en", "de" }, Regions = { "PT" }, Safety = "sensitive" },
        };
        return row;
    }
}
