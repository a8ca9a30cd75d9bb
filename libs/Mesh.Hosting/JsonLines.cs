using System.Buffers;
using System.Text;
using Google.Protobuf;
using Microsoft.AspNetCore.Http;

namespace Mesh.Hosting;

/// <summary>
/// A result that streams messages, one line of protobuf JSON each. Nothing is gathered: the next message is asked for once
/// the client has taken what was written, so that a slow reader slows the source. What fails before the first line is an
/// ordinary error; what fails later breaks the connection off, so that no reader takes a part for the whole.
/// </summary>
/// <param name="messages">What to stream.</param>
/// <param name="flushBytes">Lines gather up to so many bytes before they are sent: for many small messages. 0 = each line by itself.</param>
public sealed class JsonLinesResult(IAsyncEnumerable<IMessage> messages, int flushBytes = 0) : IResult
{
    public const string ContentType = "application/x-ndjson";

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        ArgumentNullException.ThrowIfNull(httpContext);
        HttpResponse response = httpContext.Response;
        response.ContentType = ContentType;
        await foreach (IMessage message in messages.WithCancellation(httpContext.RequestAborted))
        {
            Encoding.UTF8.GetBytes(ProtobufJson.Format(message), response.BodyWriter);
            response.BodyWriter.Write("\n"u8);
            if (response.BodyWriter.UnflushedBytes > flushBytes) await response.BodyWriter.FlushAsync(httpContext.RequestAborted);
        }

        await response.BodyWriter.FlushAsync(httpContext.RequestAborted);
    }
}
