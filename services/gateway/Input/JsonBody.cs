using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Gateway.Problems;

namespace Mesh.Gateway.Input;

/// <summary>
/// Reads a JSON body within the limits. Rows are bound one by one from the document afterwards, so that a row of the wrong
/// shape is rejected alone; only text that is not JSON at all is refused whole.
/// </summary>
internal static class JsonBody
{
    private const int DepthMax = 32;

    /// <exception cref="BadHttpRequestException">415, 413, or 400 with line and position where the text is not JSON.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpRequest request, CancellationToken cancellation)
    {
        if (!request.HasJsonContentType())
        {
            throw new BadHttpRequestException(
                $"Content-Type is {Shown.Value(request.ContentType)}; this endpoint takes application/json.",
                StatusCodes.Status415UnsupportedMediaType);
        }

        if (request.ContentLength > Limits.BodyBytesMax) throw TooLarge();
        ReadResult body = await request.BodyReader.ReadAtLeastAsync(Limits.BodyBytesMax + 1, cancellation);
        try
        {
            if (body.Buffer.Length > Limits.BodyBytesMax) throw TooLarge();

            // The document must outlive the pipe's buffers.
            return JsonDocument.Parse(body.Buffer.ToArray(), new JsonDocumentOptions { MaxDepth = DepthMax });
        }
        catch (JsonException exception)
        {
            throw new BadHttpRequestException(Describe(exception, body.Buffer.Length), exception);
        }
        finally
        {
            request.BodyReader.AdvanceTo(body.Buffer.End);
        }
    }

    private static string Describe(JsonException exception, long bytes)
    {
        if (bytes == 0) return "The body is empty; JSON was expected.";
        string what = exception.Message.Split(" LineNumber:", 2)[0];
        return $"The body is not JSON (nested at most {DepthMax} deep): {Shown.Value(what)} "
            + $"at line {exception.LineNumber + 1}, position {exception.BytePositionInLine + 1}.";
    }

    private static BadHttpRequestException TooLarge() =>
        new($"The body is over {Limits.BodyBytesMax} bytes.", StatusCodes.Status413PayloadTooLarge);
}
