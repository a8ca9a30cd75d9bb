namespace Mesh.Numerics.Tests;

public sealed class RowSetDigestTests
{
    [Fact]
    public void The_order_of_rows_does_not_matter_and_each_id_and_version_does()
    {
        (string Id, ulong Version)[] rows = [.. Enumerable.Range(0, 1_000).Select(i => ($"item-{i}", (ulong)(i * 7)))];
        RowSetDigest all = Of(rows);

        Assert.Equal((all.Value, 1_000), (Of([.. rows.Reverse()]).Value, all.Count));
        Assert.Equal((0ul, 0), (new RowSetDigest().Value, new RowSetDigest().Count));
        for (int i = 0; i < rows.Length; i++)
        {
            (string id, ulong version) = rows[i];
            Assert.NotEqual(all.Value, Of([.. rows[..i], .. rows[(i + 1)..]]).Value);
            Assert.NotEqual(all.Value, Of([.. rows[..i], (id, version + 1), .. rows[(i + 1)..]]).Value);
        }

        // Two items that changed versions with each other.
        Assert.NotEqual(Of([("a", 1), ("b", 2)]).Value, Of([("a", 2), ("b", 1)]).Value);
    }

    [Fact]
    public void The_checksum_is_the_same_in_every_build() => Assert.Equal(Expected, Of([("item-1", 1), ("item-2", ulong.MaxValue), ("ä", 0)]).Value);

    private const ulong Expected = 15028950267659834630; // computed by a program in another language

    private static RowSetDigest Of((string Id, ulong Version)[] rows)
    {
        var digest = new RowSetDigest();
        foreach ((string id, ulong version) in rows) digest.Add(id, version);
        return digest;
    }
}
