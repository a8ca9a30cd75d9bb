namespace Mesh.Numerics;

/// <summary>
/// Vectors as bytes, in blocks of 16 rows. A component x is stored as round(x / scale) + 128, limited to 1..255, so scale is the
/// width of one step. A block holds 4 dimensions of 16 rows in 64 bytes (row 0's four, row 1's four, ...), then the next 4
/// dimensions: one AVX-512 register is a step of 16 dot products, and no sum across lanes is ever needed. Dimensions are padded
/// to a multiple of 4 with the byte of zero. Rows 0..15 are the first block, 16..31 the next, without gaps.
/// </summary>
/// <remarks>
/// One writer may write a row while others scan its block: bytes of other rows are not touched. Who scans a row that is being
/// written sees old and new components mixed; hide it from the scan, or check it afterwards.
/// </remarks>
public static class Int8Rows
{
    /// <summary>Rows of a block.</summary>
    public const int BlockRows = 16;

    /// <summary>Rows decided by one word of a filter: 4 blocks, the unit of a scan.</summary>
    public const int GroupRows = 64;

    /// <summary>Most dimensions: 255 * 63 * 65,536 fits the int32 of a dot product.</summary>
    public const int DimensionsMax = 65_536;

    /// <summary>The byte of a zero component.</summary>
    public const byte Zero = 128;

    /// <summary>Bytes of a row: the dimensions, padded to a multiple of 4.</summary>
    public static int RowBytes(int dimensions) => dimensions is > 0 and <= DimensionsMax
        ? (dimensions + 3) & ~3
        : throw new ArgumentOutOfRangeException(nameof(dimensions), dimensions, $"Rows have 1..{DimensionsMax} dimensions.");

    /// <summary>Bytes of 64 rows.</summary>
    public static int GroupBytes(int dimensions) => GroupRows * RowBytes(dimensions);

    /// <summary>The scale with which components up to <paramref name="largest"/>, in absolute value, are stored without being limited.</summary>
    public static float ScaleFor(float largest) => largest > 0 && float.IsFinite(largest)
        ? largest / 127
        : throw new ArgumentOutOfRangeException(nameof(largest), largest, "The largest component must be above 0 and finite; 1 is right for any unit vector.");

    /// <summary>
    /// Quantises a vector into its place. Infinities are limited as any other number; NaN is stored as zero: refuse it before.
    /// </summary>
    /// <param name="vector">One component per dimension.</param>
    /// <param name="scale">Width of one step, the same for all rows that one query scans.</param>
    /// <param name="blocks">Memory of the blocks, from row 0.</param>
    public static void Write(ReadOnlySpan<float> vector, float scale, Span<byte> blocks, int row)
    {
        if (!(scale > 0)) throw new ArgumentOutOfRangeException(nameof(scale), scale, "The scale must be above 0.");
        int rowBytes = RowBytes(vector.Length);
        int at = BlockOffset(row, rowBytes);
        if (row < 0 || blocks.Length - (BlockRows * rowBytes) < at)
        {
            throw new ArgumentOutOfRangeException(nameof(row), row, $"{blocks.Length} bytes hold {blocks.Length / (BlockRows * rowBytes) * BlockRows} rows.");
        }

        Span<byte> block = blocks.Slice(at, BlockRows * rowBytes);
        Span<byte> quad = stackalloc byte[4];
        for (int d = 0; d < rowBytes; d += 4)
        {
            for (int i = 0; i < 4; i++) quad[i] = d + i < vector.Length ? Quantize(vector[d + i], scale) : Zero;
            quad.CopyTo(block[(d * BlockRows + (row % BlockRows * 4))..]);
        }
    }

    /// <summary>The component as it is stored, times the scale: what <see cref="Write"/> wrote, up to half a step.</summary>
    public static void Read(ReadOnlySpan<byte> blocks, int row, float scale, Span<float> vector)
    {
        for (int d = 0; d < vector.Length; d++) vector[d] = (At(blocks, RowBytes(vector.Length), row, d) - Zero) * scale;
    }

    // The stored byte of one component.
    internal static byte At(ReadOnlySpan<byte> blocks, int rowBytes, int row, int dimension) =>
        blocks[BlockOffset(row, rowBytes) + (dimension / 4 * 4 * BlockRows) + (row % BlockRows * 4) + (dimension % 4)];

    private static int BlockOffset(int row, int rowBytes) => checked(row / BlockRows * BlockRows * rowBytes);

    // The conversion of NaN to int is 0 in C# since .NET 9, on every processor.
    private static byte Quantize(float component, float scale) => (byte)((int)Math.Clamp(MathF.Round(component / scale), -127f, 127f) + Zero);
}
