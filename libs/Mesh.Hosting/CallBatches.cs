namespace Mesh.Hosting;

/// <summary>
/// Cuts a batch into calls that a sidecar takes: 4 MiB each by default. 1 MiB of protobuf is 1.4 MB as base64 in JSON, and up
/// to three times its size as protobuf JSON in CloudEvents. A thousand pages of 200 items are 26 MB.
/// </summary>
public static class CallBatches
{
    /// <summary>Most bytes of protobuf in one call.</summary>
    public const int BytesMax = 1024 * 1024;

    // Tag and length of one message inside the call's own.
    private const int FramingBytes = 8;

    /// <summary>The indexes in order, in as few calls as fit; a message larger than a call gets one of its own.</summary>
    /// <param name="sizeOf">Bytes of the message at an index.</param>
    public static IEnumerable<List<int>> Split(IEnumerable<int> indexes, Func<int, int> sizeOf)
    {
        ArgumentNullException.ThrowIfNull(indexes);
        ArgumentNullException.ThrowIfNull(sizeOf);
        var call = new List<int>();
        int bytes = 0;
        foreach (int index in indexes)
        {
            int size = sizeOf(index) + FramingBytes;
            if (call.Count > 0 && bytes + size > BytesMax)
            {
                yield return call;
                call = [];
                bytes = 0;
            }

            call.Add(index);
            bytes += size;
        }

        if (call.Count > 0) yield return call;
    }
}
