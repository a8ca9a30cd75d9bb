using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Mesh.Numerics;

namespace Mesh.Retrieval.Filters;

internal enum BitOp
{
    /// <summary>Pushes all ones.</summary>
    Ones,

    /// <summary>Pushes all zeros.</summary>
    Zeros,

    /// <summary>The top of the stack and a row.</summary>
    AndRow,
    OrRow,

    /// <summary>The top of the stack and what a row lacks.</summary>
    AndNotRow,
    OrNotRow,

    /// <summary>Pops one and puts it together with the next.</summary>
    And,
    Or,

    /// <summary>Ends the program where the top is empty. At the bottom of the stack only.</summary>
    StopIfEmpty,
}

/// <param name="Row">An exact row, or the complement of a Bloom row.</param>
internal readonly record struct BitStep(BitOp Op, int Row = 0);

/// <summary>
/// A plan as steps of a stack machine over rows of bits, run for 512 or 256 slots at a time, so that a term costs one instruction on
/// a register and one load.
/// </summary>
internal sealed class BitProgram(BitStep[] steps, int depth)
{
    private const int LaneWords = 4, WideLaneWords = 8;

    /// <summary>Steps.</summary>
    public int Length => steps.Length;

    /// <summary>Takes out of the mask the slots that the program does not admit.</summary>
    /// <param name="first">Word of the chunk's rows where the slots begin.</param>
    /// <param name="mask">A word for each 64 slots.</param>
    /// <param name="level">Scalar takes 64 slots at a time, and is the reference; the others agree with it in every bit.</param>
    /// <exception cref="PlatformNotSupportedException">This processor lacks the level.</exception>
    public void Run(FilterChunk chunk, int first, Span<ulong> mask, SimdLevel level = SimdLevel.Best)
    {
        level = level.Resolve();
        AlignedBuffer<ulong> exact = chunk.Exact; // read once: it may be replaced by a larger one
        int at = 0;
        if (level == SimdLevel.Avx512)
        {
            for (; at + WideLaneWords <= mask.Length; at += WideLaneWords) Run<Vector512<ulong>, EightWords>(chunk, exact, first + at, ref mask[at]);
        }

        if (level >= SimdLevel.Avx2)
        {
            for (; at + LaneWords <= mask.Length; at += LaneWords) Run<Vector256<ulong>, FourWords>(chunk, exact, first + at, ref mask[at]);
        }

        for (; at < mask.Length; at++) Run<ulong, OneWord>(chunk, exact, first + at, ref mask[at]);
    }

    private void Run<TLane, TLogic>(FilterChunk chunk, AlignedBuffer<ulong> exactRows, int word, ref ulong place)
        where TLane : unmanaged
        where TLogic : struct, ILogic<TLane>
    {
        Span<TLane> stack = stackalloc TLane[depth];
        ref ulong exact = ref Unsafe.Add(ref MemoryMarshal.GetReference(exactRows.Span), word);
        ref ulong bloom = ref Unsafe.Add(ref MemoryMarshal.GetReference(chunk.Bloom.Span), word);
        int stride = chunk.Stride, below = 0;
        TLane top = TLogic.Load(ref place);
        foreach (BitStep step in steps)
        {
            // SAFETY: rows are within those of every segment, as they are known to FilterRows only after all segments have them.
            ref ulong row = ref step.Row >= 0 ? ref Unsafe.Add(ref exact, (nint)step.Row * stride) : ref Unsafe.Add(ref bloom, (nint)~step.Row * stride);
            switch (step.Op)
            {
                case BitOp.AndRow:
                    top = TLogic.And(top, TLogic.Load(ref row));
                    break;
                case BitOp.OrRow:
                    top = TLogic.Or(top, TLogic.Load(ref row));
                    break;
                case BitOp.AndNotRow:
                    top = TLogic.And(top, TLogic.Not(TLogic.Load(ref row)));
                    break;
                case BitOp.OrNotRow:
                    top = TLogic.Or(top, TLogic.Not(TLogic.Load(ref row)));
                    break;
                case BitOp.And:
                    top = TLogic.And(top, stack[--below]);
                    break;
                case BitOp.Or:
                    top = TLogic.Or(top, stack[--below]);
                    break;
                case BitOp.StopIfEmpty:
                    if (TLogic.IsEmpty(top))
                    {
                        TLogic.Store(top, ref place);
                        return;
                    }

                    break;
                default:
                    stack[below++] = top;
                    top = step.Op == BitOp.Ones ? TLogic.Not(default) : default;
                    break;
            }
        }

        TLogic.Store(top, ref place);
    }

    private interface ILogic<TLane>
    {
        static abstract TLane Load(ref ulong place);

        static abstract void Store(TLane lane, ref ulong place);

        static abstract TLane And(TLane x, TLane y);

        static abstract TLane Or(TLane x, TLane y);

        static abstract TLane Not(TLane x);

        static abstract bool IsEmpty(TLane x);
    }

    private readonly struct EightWords : ILogic<Vector512<ulong>>
    {
        public static Vector512<ulong> Load(ref ulong place) => Vector512.LoadUnsafe(ref place);

        public static void Store(Vector512<ulong> lane, ref ulong place) => lane.StoreUnsafe(ref place);

        public static Vector512<ulong> And(Vector512<ulong> x, Vector512<ulong> y) => x & y;

        public static Vector512<ulong> Or(Vector512<ulong> x, Vector512<ulong> y) => x | y;

        public static Vector512<ulong> Not(Vector512<ulong> x) => ~x;

        public static bool IsEmpty(Vector512<ulong> x) => x == Vector512<ulong>.Zero;
    }

    private readonly struct FourWords : ILogic<Vector256<ulong>>
    {
        public static Vector256<ulong> Load(ref ulong place) => Vector256.LoadUnsafe(ref place);

        public static void Store(Vector256<ulong> lane, ref ulong place) => lane.StoreUnsafe(ref place);

        public static Vector256<ulong> And(Vector256<ulong> x, Vector256<ulong> y) => x & y;

        public static Vector256<ulong> Or(Vector256<ulong> x, Vector256<ulong> y) => x | y;

        public static Vector256<ulong> Not(Vector256<ulong> x) => ~x;

        public static bool IsEmpty(Vector256<ulong> x) => x == Vector256<ulong>.Zero;
    }

    private readonly struct OneWord : ILogic<ulong>
    {
        public static ulong Load(ref ulong place) => Volatile.Read(ref place);

        public static void Store(ulong lane, ref ulong place) => place = lane;

        public static ulong And(ulong x, ulong y) => x & y;

        public static ulong Or(ulong x, ulong y) => x | y;

        public static ulong Not(ulong x) => ~x;

        public static bool IsEmpty(ulong x) => x == 0;
    }
}
