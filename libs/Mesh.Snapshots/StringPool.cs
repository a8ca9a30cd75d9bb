using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Mesh.Numerics;

namespace Mesh.Snapshots;

/// <summary>
/// One string for equal texts: tags, languages and authors repeat on many rows, and the heap holds each once. Bounded in entries and
/// length, past which a text is simply a string of its own. For one thread.
/// </summary>
public sealed class StringPool
{
    /// <summary>Texts that are kept at most.</summary>
    public const int EntriesMax = 131_072;

    /// <summary>Characters of a text that is kept, at most.</summary>
    public const int LengthMax = 64;

    private const int RecentMax = 32_768;

    private const int StringBytes = 22; // header, method table, length, terminator

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // Texts kept and met not long ago, by a hash of their bytes: most are found here without being decoded. One text a place, so texts of one hash
    // only lose the short way.
    private readonly string?[] _recent = new string?[RecentMax];

    private readonly HashSet<string> _texts = new(StringComparer.Ordinal);
    private readonly HashSet<string>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    public StringPool() => _lookup = _texts.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Heap bytes of the texts kept, and of the set.</summary>
    public long Bytes { get; private set; }

    /// <summary>The text as a string.</summary>
    /// <param name="ownBytes">Grows by the heap bytes of the string where it is the caller's alone.</param>
    public string Take(ReadOnlySpan<char> text, ref long ownBytes)
    {
        if (text.IsEmpty) return "";
        if (text.Length <= LengthMax)
        {
            if (_lookup.TryGetValue(text, out string? held)) return held;
            if (_texts.Count < EntriesMax)
            {
                string kept = text.ToString();
                _texts.Add(kept);
                Bytes += BytesOf(kept) + 32;
                return kept;
            }
        }

        string own = text.ToString();
        ownBytes += BytesOf(own);
        return own;
    }

    /// <inheritdoc cref="Take(ReadOnlySpan{char}, ref long)"/>
    /// <exception cref="DecoderFallbackException">The bytes are not UTF-8.</exception>
    public string Take(ReadOnlySpan<byte> utf8, ref long ownBytes)
    {
        if (utf8.Length <= LengthMax)
        {
            ref string? recent = ref _recent[PlaceOf(utf8)];
            if (recent is not null && Ascii.Equals(utf8, recent)) return recent;

            long before = ownBytes;
            Span<char> text = stackalloc char[LengthMax];
            string taken = Take(text[..Strict.GetChars(utf8, text)], ref ownBytes);
            if (ownBytes == before) recent = taken;
            return taken;
        }

        string own = Strict.GetString(utf8);
        ownBytes += BytesOf(own);
        return own;
    }

    // Length, the first 8 bytes and the last 8.
    private static int PlaceOf(ReadOnlySpan<byte> utf8)
    {
        ulong hash = 0;
        if (utf8.Length >= sizeof(ulong))
        {
            hash = BinaryPrimitives.ReadUInt64LittleEndian(utf8) ^ BitOperations.RotateLeft(BinaryPrimitives.ReadUInt64LittleEndian(utf8[^sizeof(ulong)..]), 29);
        }
        else
        {
            foreach (byte value in utf8) hash = (hash << 8) | value;
        }

        return (int)(StableHash.Mix(hash + (ulong)utf8.Length) % RecentMax);
    }

    /// <summary>Heap bytes of a string, rounded up to the 8 that objects are aligned to; the empty string is one shared object.</summary>
    public static long BytesOf(string text) => text.Length == 0 ? 0 : (StringBytes + (2L * text.Length) + 7) & ~7L;
}
