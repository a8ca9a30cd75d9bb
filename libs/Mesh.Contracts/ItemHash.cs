using System.Buffers;
using System.Text;

namespace Mesh.Contracts;

/// <summary>
/// 32-bit FNV-1a of an item id's UTF-8 bytes: how sets of items a user has seen cross a process. At 4,096 items seen, a
/// fresh item is mistaken for a seen one with probability 4,096 / 2^32, one in a million.
/// </summary>
public static class ItemHash
{
    public static uint Compute(string itemId)
    {
        ArgumentNullException.ThrowIfNull(itemId);
        byte[]? rented = null;
        int bytesMax = Encoding.UTF8.GetMaxByteCount(itemId.Length);
        Span<byte> bytes = bytesMax <= 512 ? stackalloc byte[512] : (rented = ArrayPool<byte>.Shared.Rent(bytesMax));
        int count = Encoding.UTF8.GetBytes(itemId, bytes);

        uint hash = Compute(bytes[..count]);
        if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        return hash;
    }

    /// <summary>32-bit FNV-1a of bytes.</summary>
    public static uint Compute(ReadOnlySpan<byte> bytes)
    {
        uint hash = 2166136261;
        foreach (byte value in bytes) hash = (hash ^ value) * 16777619;
        return hash;
    }
}
