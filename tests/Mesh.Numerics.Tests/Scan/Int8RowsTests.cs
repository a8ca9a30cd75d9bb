namespace Mesh.Numerics.Tests;

public sealed class Int8RowsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(130)]
    public void Read_gives_back_what_Write_stored_up_to_half_a_step(int dimensions)
    {
        float scale = Int8Rows.ScaleFor(1);
        float[][] rows = [.. Enumerable.Range(0, 64).Select(row => Vectors.Random(dimensions, seed: row))];
        var blocks = new byte[Int8Rows.GroupBytes(dimensions)];

        for (int row = 63; row >= 0; row--) Int8Rows.Write(rows[row], scale, blocks, row);

        var read = new float[dimensions];
        for (int row = 0; row < 64; row++)
        {
            Int8Rows.Read(blocks, row, scale, read);
            for (int d = 0; d < dimensions; d++) Assert.Equal(rows[row][d], read[d], (scale / 2) + 1e-6f);
        }
    }

    [Fact]
    public void Four_dimensions_of_sixteen_rows_lie_in_64_bytes()
    {
        var blocks = new byte[Int8Rows.GroupBytes(6)];

        Int8Rows.Write([1, 2, 3, 4, 5, 6], 1, blocks, 17);

        int block = 16 * 8;
        Assert.Equal([129, 130, 131, 132], blocks[(block + 4)..(block + 8)]);
        Assert.Equal([133, 134, 128, 128], blocks[(block + 64 + 4)..(block + 64 + 8)]);
        Assert.Equal(8, blocks.Count(value => value != 0));
    }

    [Fact]
    public void Write_touches_no_byte_of_another_row()
    {
        var blocks = new byte[Int8Rows.GroupBytes(10)];
        for (int row = 0; row < 64; row++) Int8Rows.Write(Vectors.Random(10, seed: row), 0.01f, blocks, row);
        byte[] before = [.. blocks];

        Int8Rows.Write(new float[10], 0.01f, blocks, 33);

        for (int row = 0; row < 64; row++)
        {
            for (int d = 0; d < 12; d++) Assert.Equal(row == 33 ? Int8Rows.Zero : Int8Rows.At(before, 12, row, d), Int8Rows.At(blocks, 12, row, d));
        }
    }

    [Fact]
    public void What_is_too_large_is_limited_and_NaN_and_zero_are_the_byte_of_zero()
    {
        var blocks = new byte[Int8Rows.GroupBytes(8)];

        Int8Rows.Write([5, -5, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 0, -0f, float.Epsilon], Int8Rows.ScaleFor(1), blocks, 0);

        Assert.Equal([255, 1, 255, 1, 128, 128, 128, 128], Enumerable.Range(0, 8).Select(d => Int8Rows.At(blocks, 8, 0, d)));
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused()
    {
        var blocks = new byte[Int8Rows.GroupBytes(8)];

        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.Write(new float[8], 1, blocks, 64));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.Write(new float[8], 1, blocks, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.Write(new float[9], 1, blocks, 63));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.Write([], 1, blocks, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.Write(new float[8], 0, blocks, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.Write(new float[8], float.NaN, blocks, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.RowBytes(Int8Rows.DimensionsMax + 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.ScaleFor(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Int8Rows.ScaleFor(float.PositiveInfinity));
    }
}
