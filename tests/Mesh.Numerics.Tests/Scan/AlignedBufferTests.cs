using System.Runtime.CompilerServices;

namespace Mesh.Numerics.Tests;

public sealed class AlignedBufferTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(1_000)]
    [InlineData(100_000)]
    public void A_buffer_begins_at_a_multiple_of_64_bytes_is_zeroed_and_does_not_move(int length)
    {
        for (int i = 0; i < 20; i++)
        {
            var buffer = new AlignedBuffer<float>(length);
            nint address = buffer.Address;

            GC.Collect(0);

            Assert.Equal(0, address % 64);
            Assert.Equal(address, buffer.Address);
            Assert.Equal(length, buffer.Span.Length);
            Assert.Equal(new float[length], buffer.Span.ToArray());
            if (length > 0) Assert.True(Unsafe.AreSame(ref buffer.Span[0], ref Unsafe.AddByteOffset(ref Unsafe.NullRef<float>(), address)));
        }
    }

    [Fact]
    public void Lengths_that_no_array_holds_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new AlignedBuffer<byte>(-1));
        Assert.Throws<OverflowException>(() => new AlignedBuffer<double>(int.MaxValue / 4));
    }
}
