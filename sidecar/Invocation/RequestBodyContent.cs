using System.IO.Pipelines;
using System.Net;

namespace Mesh.Sidecar.Invocation;

/// <summary>
/// A request body on its way through: from the caller's pipe straight into the callee's socket, never collected. A body of
/// unknown length is flushed as it comes, so that a slow stream arrives while it is still being sent.
/// </summary>
internal sealed class RequestBodyContent(HttpRequest source) : HttpContent
{
    /// <summary>True once bytes were taken from the caller: from then on the request cannot be sent again.</summary>
    public bool Started { get; private set; }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        Started = true;
        PipeReader body = source.BodyReader;
        bool isStream = source.ContentLength is null;
        while (true)
        {
            ReadResult read = await body.ReadAsync(cancellationToken);
            foreach (ReadOnlyMemory<byte> segment in read.Buffer) await stream.WriteAsync(segment, cancellationToken);

            body.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return;
            if (isStream) await stream.FlushAsync(cancellationToken);
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = source.ContentLength ?? 0;
        return source.ContentLength is not null;
    }
}
