using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Tests;

/// <summary>Steps over rows of bits at every width that this processor has, against the same steps bit by bit.</summary>
public sealed class BitProgramTests
{
    private const int BloomRows = 8, ExactRows = 12, Words = 128;

    // DOTNET_EnableAVX512=0 and its like take some away.
    public static TheoryData<SimdLevel> Levels => [.. Enum.GetValues<SimdLevel>().Where(level => level.IsSupported())];

    [Theory, MemberData(nameof(Levels))]
    public void Every_width_admits_what_the_steps_say_of_each_slot_at_every_length_and_place(SimdLevel level)
    {
        var random = new Random(1);
        FilterChunk chunk = RandomChunk(random);
        for (int length = 0; length <= 37; length++)
        {
            for (int round = 0; round < 12; round++)
            {
                (BitStep[] steps, int depth) = RandomSteps(random);
                int first = random.Next(Words - length + 1);
                ulong[] before = RandomMask(random, length + 2), mask = [.. before];

                new BitProgram(steps, depth).Run(chunk, first, mask.AsSpan(1, length), level);

                Assert.Equal(before[0], mask[0]);
                Assert.Equal(before[^1], mask[^1]); // nothing beside the mask is written
                for (int slot = 0; slot < 64 * length; slot++)
                {
                    bool expected = Holds(steps, chunk, (64 * first) + slot, (before[1 + (slot / 64)] >> (slot % 64) & 1) != 0);
                    Assert.True(expected == ((mask[1 + (slot / 64)] >> (slot % 64) & 1) != 0), $"{level}, {length} words from {first}, slot {slot}: {string.Join(' ', steps)}");
                }
            }
        }
    }

    [Theory, MemberData(nameof(Levels))]
    public void Every_width_gives_the_words_of_the_scalar_reference_over_a_whole_chunk(SimdLevel level)
    {
        var random = new Random(2);
        FilterChunk chunk = RandomChunk(random);
        for (int round = 0; round < 200; round++)
        {
            (BitStep[] steps, int depth) = RandomSteps(random);
            ulong[] reference = RandomMask(random, Words), mask = [.. reference];

            new BitProgram(steps, depth).Run(chunk, 0, reference, SimdLevel.Scalar);
            new BitProgram(steps, depth).Run(chunk, 0, mask, level);

            Assert.Equal(reference, mask);
        }
    }

    [Theory, MemberData(nameof(Levels))]
    public void A_program_without_steps_and_one_that_ends_at_once_leave_the_mask(SimdLevel level)
    {
        FilterChunk chunk = RandomChunk(new Random(3));
        ulong[] full = [.. Enumerable.Repeat(ulong.MaxValue, 21)], empty = new ulong[21];

        new BitProgram([], 1).Run(chunk, 5, full, level);
        new BitProgram([new(BitOp.StopIfEmpty), new(BitOp.AndNotRow)], 1).Run(chunk, 5, empty, level);

        Assert.All(full, word => Assert.Equal(ulong.MaxValue, word));
        Assert.All(empty, word => Assert.Equal(0ul, word));
    }

    [Fact]
    public void A_width_that_this_processor_lacks_is_refused()
    {
        FilterChunk chunk = RandomChunk(new Random(4));
        foreach (SimdLevel level in Enum.GetValues<SimdLevel>().Append((SimdLevel)99).Where(level => !level.IsSupported()))
        {
            Assert.Throws<PlatformNotSupportedException>(() => new BitProgram([], 1).Run(chunk, 0, new ulong[1], level));
        }
    }

    // As BitPlan makes them: conditions that the bottom of the stack is put together with, each a row or a stack of its own.
    private static (BitStep[] Steps, int Depth) RandomSteps(Random random)
    {
        List<BitStep> steps = [];
        int deepest = 0;
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            if (random.Next(2) == 0) steps.Add(new BitStep(BitOp.StopIfEmpty));
            if (random.Next(3) > 0)
            {
                steps.Add(new BitStep(random.Next(2) == 0 ? BitOp.AndRow : BitOp.AndNotRow, Row(random)));
                continue;
            }

            int depth = 0;
            for (int step = random.Next(1, 12); step > 0 || depth > 0; step--)
            {
                if (depth == 0 || (step > 0 && random.Next(4) == 0))
                {
                    steps.Add(new BitStep(random.Next(2) == 0 ? BitOp.Ones : BitOp.Zeros));
                    deepest = Math.Max(deepest, ++depth);
                }
                else if (step <= 0 || random.Next(3) == 0)
                {
                    depth--;
                    steps.Add(new BitStep(depth == 0 || random.Next(2) == 0 ? BitOp.And : BitOp.Or)); // the bottom only loses slots
                }
                else
                {
                    steps.Add(new BitStep(BitOp.AndRow + random.Next(4), Row(random)));
                }
            }
        }

        return ([.. steps], deepest + 1);
    }

    private static bool Holds(BitStep[] steps, FilterChunk chunk, int slot, bool admitted)
    {
        var stack = new Stack<bool>([admitted]);
        foreach (BitStep step in steps)
        {
            if (step.Op == BitOp.StopIfEmpty) continue; // what is empty stays empty
            if (step.Op is BitOp.Ones or BitOp.Zeros)
            {
                stack.Push(step.Op == BitOp.Ones);
                continue;
            }

            bool top = stack.Pop();
            stack.Push(step.Op switch
            {
                BitOp.AndRow => top & Has(),
                BitOp.OrRow => top | Has(),
                BitOp.AndNotRow => top & !Has(),
                BitOp.OrNotRow => top | !Has(),
                BitOp.And => top & stack.Pop(),
                _ => top | stack.Pop(),
            });

            bool Has()
            {
                int row = step.Row >= 0 ? step.Row : ~step.Row;
                return ((step.Row >= 0 ? chunk.Exact : chunk.Bloom).Span[(row * chunk.Stride) + (slot / 64)] >> (slot % 64) & 1) != 0;
            }
        }

        return Assert.Single(stack);
    }

    private static int Row(Random random) => random.Next(2) == 0 ? random.Next(ExactRows) : ~random.Next(BloomRows);

    private static FilterChunk RandomChunk(Random random)
    {
        var chunk = new FilterChunk(number: 0, firstWord: 0, 64 * Words, BloomRows, ExactRows);
        Fill(chunk.Exact.Span);
        Fill(chunk.Bloom.Span);
        return chunk;

        void Fill(Span<ulong> rows)
        {
            for (int i = 0; i < rows.Length; i++) rows[i] = Word(random);
        }
    }

    // A third of the words is empty, so that programs end early in some lanes.
    private static ulong[] RandomMask(Random random, int words) => [.. Enumerable.Range(0, words).Select(_ => random.Next(3) == 0 ? 0ul : Word(random))];

    private static ulong Word(Random random) => (ulong)random.NextInt64(long.MinValue, long.MaxValue);
}
