using System.Numerics;

namespace Mesh.Numerics.Tests;

public sealed class BitWordsTests
{
    public static TheoryData<SimdLevel, int> Lengths => Levels.With([.. Enumerable.Range(0, 20), 31, 32, 33, 1_000]);

    [Theory, MemberData(nameof(Lengths))]
    public void Every_operation_is_that_of_its_words(SimdLevel level, int length)
    {
        ulong[] x = Words(length, seed: 1);
        ulong[] y = Words(length, seed: 2);
        // A word more on both sides must stay as it is.
        ulong[] destination = Words(length + 2, seed: 3);
        (ulong first, ulong last) = (destination[0], destination[^1]);
        Span<ulong> to = destination.AsSpan(1, length);

        BitWords.And(x, y, to, level);
        Assert.Equal(x.Zip(y, (a, b) => a & b), to.ToArray());
        BitWords.Or(x, y, to, level);
        Assert.Equal(x.Zip(y, (a, b) => a | b), to.ToArray());
        BitWords.AndNot(x, y, to, level);
        Assert.Equal(x.Zip(y, (a, b) => a & ~b), to.ToArray());
        BitWords.Not(x, to, level);
        Assert.Equal(x.Select(a => ~a), to.ToArray());
        Assert.Equal((first, last), (destination[0], destination[^1]));
    }

    [Theory, MemberData(nameof(Lengths))]
    public void The_destination_may_be_a_source(SimdLevel level, int length)
    {
        ulong[] x = Words(length, seed: 4);
        ulong[] y = Words(length, seed: 5);
        ulong[] expected = [.. x.Zip(y, (a, b) => a & ~b)];

        BitWords.AndNot(x, y, x, level);

        Assert.Equal(expected, x);
    }

    [Theory, MemberData(nameof(Lengths))]
    public void PopCount_is_the_sum_of_its_words(SimdLevel level, int length)
    {
        ulong[] x = Words(length, seed: 6);
        BitWords.Not(x, x, level);

        Assert.Equal(x.Sum(word => (long)BitOperations.PopCount(word)), BitWords.PopCount(x));
    }

    [Fact]
    public void Rows_of_different_lengths_are_refused()
    {
        Assert.Throws<ArgumentException>(() => BitWords.And(new ulong[3], new ulong[4], new ulong[3]));
        Assert.Throws<ArgumentException>(() => BitWords.Or(new ulong[3], new ulong[3], new ulong[4]));
        Assert.Throws<ArgumentException>(() => BitWords.Not(new ulong[3], new ulong[2]));
    }

    private static ulong[] Words(int length, int seed)
    {
        var words = new ulong[length];
        new Random(seed).NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(words.AsSpan()));
        return words;
    }
}
