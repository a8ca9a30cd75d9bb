using System.Buffers.Binary;
using System.Buffers.Text;
using Mesh.Contracts;

namespace Mesh.Gateway.Feed;

/// <summary>
/// What "load more" needs to know, carried by the client so that any gateway can serve any page: the session (request id
/// of page 1), the page number, and hashes of the items that the session has shown. Opaque, versioned, and checked:
/// version 1 | session 16 | page 2 | user hash 4 | count 2 | count x 4 | checksum 4, little-endian, base64url. The
/// checksum catches damage, not forgery: a forged cursor changes only the forger's own page.
/// </summary>
internal sealed record FeedCursor(string Session, int Page, IReadOnlyList<uint> Served)
{
    /// <summary>Most hashes carried (5.5 kB of URL). Older ones are left to the user's context, which has seen their impressions by then.</summary>
    public const int ServedMax = 1_000;

    private const byte Version = 1;
    private const int HeadBytes = 1 + 16 + 2 + 4 + 2;
    private const int ChecksumBytes = 4;
    private const int TextLengthMax = 8_000;

    /// <summary>The cursor after a page: this session's earlier items and the page's.</summary>
    public static FeedCursor After(FeedCursor? previous, string requestId, IEnumerable<string> servedNow)
    {
        uint[] served = [.. (previous?.Served ?? []).Concat(servedNow.Select(ItemHash.Compute))];
        return new FeedCursor(
            previous?.Session ?? requestId, Math.Min(ushort.MaxValue, (previous?.Page ?? 1) + 1), served.Length > ServedMax ? served[^ServedMax..] : served);
    }

    public string Encode(string userId)
    {
        byte[] bytes = new byte[HeadBytes + (Served.Count * 4) + ChecksumBytes];
        bytes[0] = Version;
        Ulid.Parse(Session).TryWriteBytes(bytes.AsSpan(1, 16));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(17), (ushort)Page);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(19), ItemHash.Compute(userId));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(23), (ushort)Served.Count);
        for (int i = 0; i < Served.Count; i++) BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(HeadBytes + (i * 4)), Served[i]);
        BinaryPrimitives.WriteUInt32LittleEndian(
            bytes.AsSpan(bytes.Length - ChecksumBytes), ItemHash.Compute(bytes.AsSpan(0, bytes.Length - ChecksumBytes)));
        return Base64Url.EncodeToString(bytes);
    }

    /// <summary>Reads a cursor; null with a reason where it is damaged, of another version, or another user's.</summary>
    public static FeedCursor? Decode(string text, string userId, out string fault)
    {
        fault = "it is damaged; start again without a cursor";
        if (text.Length > TextLengthMax || !Base64Url.IsValid(text)) return null;
        byte[] bytes = Base64Url.DecodeFromChars(text);
        if (bytes.Length < HeadBytes + ChecksumBytes) return null;
        if (bytes[0] != Version)
        {
            fault = $"its version is {bytes[0]}, this gateway reads {Version}; start again without a cursor";
            return null;
        }

        int count = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(23));
        if (count > ServedMax || bytes.Length != HeadBytes + (count * 4) + ChecksumBytes) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(bytes.Length - ChecksumBytes)) != ItemHash.Compute(bytes.AsSpan(0, bytes.Length - ChecksumBytes)))
            return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(19)) != ItemHash.Compute(userId))
        {
            fault = "it was given to another user";
            return null;
        }

        uint[] served = new uint[count];
        for (int i = 0; i < count; i++) served[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(HeadBytes + (i * 4)));
        return new FeedCursor(new Ulid(bytes.AsSpan(1, 16)).ToString(), BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(17)), served);
    }
}
