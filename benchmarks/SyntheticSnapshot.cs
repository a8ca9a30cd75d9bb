using System.Globalization;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.Benchmarks;

/// <summary>
/// A seeded catalogue as index-updater would publish it: unit vectors around 256 centres whose number is the first code, 50,000 authors and
/// 2,000 tags of uneven frequency, 20 languages, a category, a text of about 40 characters, and counters.
/// </summary>
internal static class SyntheticSnapshot
{
    public const int Codes = 256, Levels = 3;

    private const int Authors = 50_000, Tags = 2_000;

    public static Task<SnapshotManifest> WriteAsync(ISnapshotBlobs blobs, int items, int dimensions, int seed, CancellationToken cancellation) =>
        WriteAsync(blobs, Rows(items, dimensions, seed), items, dimensions, cancellation);

    public static Task<SnapshotManifest> WriteAsync(ISnapshotBlobs blobs, ItemRow[] rows, int dimensions, CancellationToken cancellation) =>
        WriteAsync(blobs, rows, rows.Length, dimensions, cancellation);

    private static async Task<SnapshotManifest> WriteAsync(ISnapshotBlobs blobs, IEnumerable<ItemRow> rows, int items, int dimensions, CancellationToken cancellation)
    {
        var manifest = new SnapshotManifest
        {
            Version = $"synthetic-{items}x{dimensions}", Sequence = (ulong)items, ModelVersion = "synthetic", CreatedAtMs = 1_700_000_000_000, CounterHalfLifeHours = 72,
        };
        var codebooks = new ResidualCodebooks(Levels, Codes, dimensions, new float[Levels * Codes * dimensions]);
        return await new SnapshotWriter(blobs).WriteAsync(
            new SnapshotContent { Manifest = manifest, Dimensions = dimensions, Codebooks = codebooks, Rows = rows }, cancellation);
    }

    public static IEnumerable<ItemRow> Rows(int items, int dimensions, int seed)
    {
        var random = new Random(seed);
        float[][] centres = [.. Enumerable.Range(0, Codes).Select(_ => Unit(random, new float[dimensions], 1))];
        for (int i = 0; i < items; i++) yield return Row(random, i, centres);
    }

    private static ItemRow Row(Random random, int number, float[][] centres)
    {
        int code = Uneven(random, Codes);
        var row = new ItemRow
        {
            Item = new Item
            {
                ItemId = string.Create(CultureInfo.InvariantCulture, $"item-{number}"),
                AuthorId = string.Create(CultureInfo.InvariantCulture, $"author-{Uneven(random, Authors)}"),
                Text = string.Create(CultureInfo.InvariantCulture, $"what item {number} says to those who read"),
                CreatedAtMs = 1_700_000_000_000 - random.NextInt64(30L * 24 * 3_600_000),
                Language = Languages[Uneven(random, Languages.Length)],
            },
            Embedding = ByteString.CopyFrom(MemoryMarshal.AsBytes(Unit(random, centres[code], 0.5f).AsSpan())),
            Counters = new Counters { AsOfMs = 1_700_000_000_000 },
            Eligibility = new Eligibility(),
            Version = (ulong)number + 1,
            ModelVersion = "synthetic",
        };
        for (int tag = 0; tag < 3; tag++) row.Item.Tags.Add(string.Create(CultureInfo.InvariantCulture, $"tag-{Uneven(random, Tags)}"));
        row.Item.Attributes["category"] = string.Create(CultureInfo.InvariantCulture, $"category-{random.Next(40)}");
        row.Codes.Add([(uint)code, (uint)random.Next(Codes), (uint)random.Next(Codes)]);
        for (int i = 0; i < ActionTaxonomy.Default.CounterCount; i++) row.Counters.Counts.Add(random.Next(20));
        return row;
    }

    // The low numbers more often: half of the draws fall on a quarter of them.
    private static int Uneven(Random random, int count) => (int)(count * random.NextDouble() * random.NextDouble());

    private static float[] Unit(Random random, ReadOnlySpan<float> centre, float noise)
    {
        var vector = new float[centre.Length];
        float scale = noise / MathF.Sqrt(centre.Length / 3f); // of a component in -1..1, whose mean square is a third
        float squares = 0;
        for (int d = 0; d < vector.Length; d++)
        {
            vector[d] = centre[d] + (scale * ((2 * random.NextSingle()) - 1));
            squares += vector[d] * vector[d];
        }

        for (int d = 0; d < vector.Length; d++) vector[d] /= MathF.Sqrt(squares);
        return vector;
    }

    private static readonly string[] Languages = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "cs", "sv", "da", "fi", "no", "tr", "el", "ro", "hu", "bg", "ja", "ko"];
}
