using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Mesh.Numerics;

/// <summary>Which instructions a kernel uses. All levels give the same answer, except for the order of float additions.</summary>
public enum SimdLevel
{
    /// <summary>The widest that this processor has.</summary>
    Best = 0,

    /// <summary>Plain C#: the reference.</summary>
    Scalar = 1,

    /// <summary>256 bits: AVX2 and FMA.</summary>
    Avx2 = 2,

    /// <summary>512 bits: AVX-512 F and BW.</summary>
    Avx512 = 3,
}

/// <summary>Chooses among the levels.</summary>
public static class SimdLevels
{
    /// <summary>Whether this processor, as the runtime is set, has the instructions of a level.</summary>
    public static bool IsSupported(this SimdLevel level) => level switch
    {
        SimdLevel.Best or SimdLevel.Scalar => true,
        SimdLevel.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        SimdLevel.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Vector512.IsHardwareAccelerated,
        _ => false,
    };

    /// <summary>The level itself, or the widest one for <see cref="SimdLevel.Best"/>.</summary>
    /// <exception cref="PlatformNotSupportedException">This processor lacks it.</exception>
    public static SimdLevel Resolve(this SimdLevel level)
    {
        if (level == SimdLevel.Best)
        {
            return SimdLevel.Avx512.IsSupported() ? SimdLevel.Avx512 : SimdLevel.Avx2.IsSupported() ? SimdLevel.Avx2 : SimdLevel.Scalar;
        }

        if (!level.IsSupported()) throw new PlatformNotSupportedException($"This processor has no {level}. Use {SimdLevel.Best}.");
        return level;
    }
}
