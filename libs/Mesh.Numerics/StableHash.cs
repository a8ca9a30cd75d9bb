using System.Text;

namespace Mesh.Numerics;

/// <summary>
/// 64-bit hashes that are the same in every process, machine and version: what is hashed today is compared with what was
/// stored last year. FNV-1a over UTF-8 bytes, then the finaliser of SplitMix64, as FNV's high bits alone mix badly.
/// </summary>
public static class StableHash
{
    public static ulong Compute(ReadOnlySpan<char> text)
    {
        ulong hash = 14695981039346656037;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (Rune rune in text.EnumerateRunes())
        {
            int bytes = rune.EncodeToUtf8(utf8);
            for (int i = 0; i < bytes; i++) hash = (hash ^ utf8[i]) * 1099511628211;
        }

        return Mix(hash);
    }

    /// <summary>Bijective mixing of 64 bits: every input bit moves every output bit with probability about one half.</summary>
    public static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
