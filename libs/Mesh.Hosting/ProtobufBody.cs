using System.IO.Pipelines;
using Google.Protobuf;
using Mesh.Contracts;
using Microsoft.AspNetCore.Http;

namespace Mesh.Hosting;

/// <summary>Bodies between services: <c>application/x-protobuf</c>, read and written without a string in between.</summary>
public static class ProtobufBody
{
    public const string ContentType = "application/x-protobuf";

    /// <summary>Reads the whole request body as one message.</summary>
    /// <exception cref="BadHttpRequestException">415 for another content type, 413 past the body limit, 400 where the bytes are not this message.</exception>
    public static async Task<T> ReadProtobufAsync<T>(this HttpRequest request, CancellationToken cancellation) where T : IMessage<T>, new()
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.ContentType is null || !request.ContentType.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase))
        {
            throw new BadHttpRequestException($"Content-Type is '{request.ContentType}'; this endpoint takes {ContentType}.", StatusCodes.Status415UnsupportedMediaType);
        }

        ReadResult body = await request.BodyReader.ReadAtLeastAsync(Limits.BodyBytesMax + 1, cancellation);
        if (body.Buffer.Length > Limits.BodyBytesMax)
        {
            throw new BadHttpRequestException($"The body is over {Limits.BodyBytesMax} bytes.", StatusCodes.Status413PayloadTooLarge);
        }

        try
        {
            return new MessageParser<T>(static () => new T()).ParseFrom(body.Buffer);
        }
        catch (InvalidProtocolBufferException exception)
        {
            throw new BadHttpRequestException($"The body is not a {typeof(T).Name}: {exception.Message}", exception);
        }
        finally
        {
            request.BodyReader.AdvanceTo(body.Buffer.End);
        }
    }
}

/// <summary>A result that writes one protobuf message.</summary>
public sealed class ProtobufResult(IMessage message, int statusCode = StatusCodes.Status200OK) : IResult
{
    public IMessage Message => message;

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        ArgumentNullException.ThrowIfNull(httpContext);
        httpContext.Response.StatusCode = statusCode;
        httpContext.Response.ContentType = ProtobufBody.ContentType;
        byte[] bytes = message.ToByteArray();
        httpContext.Response.ContentLength = bytes.Length;
        await httpContext.Response.Body.WriteAsync(bytes, httpContext.RequestAborted);
    }
}
