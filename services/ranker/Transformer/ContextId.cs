using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// Names an encoded sequence by all that it is a function of: user, sequence version, model version, and the content itself.
/// The content is in it because version 0 says nothing (every anonymous user has it), and because what the index knows of the
/// history's items changes under one sequence version. The history's similarities are not: no model or scorer here reads them, and
/// they differ between retrieval's two answers, so prepare and score of one request would not meet.
/// </summary>
internal static class ContextId
{
    // 128 bits of SHA-256: nobody finds a second sequence with the same name. 512 events with history take 0.2 ms.
    private const int Bytes = 16;

    /// <summary>Characters of an id.</summary>
    public const int Length = Bytes * 2;

    public static string Of(string userId, long sequenceVersion, string modelVersion, Sequence? sequence, IEnumerable<HistoryItem> history)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, userId);
        Append(hash, modelVersion);
        Append(hash, sequenceVersion);
        Append(hash, sequence);
        foreach (HistoryItem item in history) Append(hash, item.Similarity == 0 ? item : WithoutSimilarity(item));
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        hash.GetHashAndReset(digest);
        return Convert.ToHexStringLower(digest[..Bytes]);
    }

    private static HistoryItem WithoutSimilarity(HistoryItem item)
    {
        HistoryItem copy = item.Clone(); // rather than field by field: a field that is added to the message counts at once
        copy.Similarity = 0;
        return copy;
    }

    // Each part is preceded by its length, so that no two sequences of parts have the same bytes.
    private static void Append(IncrementalHash hash, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        Append(hash, (long)utf8.Length);
        hash.AppendData(utf8);
    }

    private static void Append(IncrementalHash hash, long number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        hash.AppendData(bytes);
    }

    private static void Append(IncrementalHash hash, IMessage? message)
    {
        int size = message?.CalculateSize() ?? -1;
        Append(hash, (long)size);
        if (size <= 0) return;
        byte[] rented = ArrayPool<byte>.Shared.Rent(size);
        message!.WriteTo(rented.AsSpan(0, size));
        hash.AppendData(rented, 0, size);
        ArrayPool<byte>.Shared.Return(rented);
    }
}
