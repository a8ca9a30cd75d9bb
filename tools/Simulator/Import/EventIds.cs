using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Mesh.Simulator.Import;

/// <summary>
/// Event ids that follow from the event: a ULID of its time and 80 bits of SHA-256 over what happened. The same row gives the
/// same id on every import, and two different rows among a billion collide with probability 10^-6.
/// </summary>
public static class EventIds
{
    /// <param name="timeMs">Unix milliseconds, at most 48 bits.</param>
    /// <param name="parts">What tells this event from others at that time; none may contain U+001F.</param>
    public static string Make(long timeMs, params ReadOnlySpan<string> parts)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\u001f', parts!)), hash);

        Span<byte> id = stackalloc byte[16];
        Span<byte> time = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(time, timeMs);
        time[2..].CopyTo(id);
        hash[..10].CopyTo(id[6..]);
        return new Ulid(id).ToString();
    }
}
