namespace Mesh.Sidecar.Actors;

/// <summary>What an actor method answered: the headers, and the body in whole, for the turn ends before the caller reads it.</summary>
internal sealed class ActorAnswer(HttpResponseMessage response, byte[] body) : IDisposable
{
    /// <summary>The SDKs report an exception with 200 and this header; callers get both as they are.</summary>
    private const string ErrorHeader = "X-DaprErrorResponseHeader";
    private const string CancelHeader = "X-Daprremindercancel";

    public HttpResponseMessage Response => response;

    public byte[] Body => body;

    public bool IsError => response.Headers.NonValidated.Contains(ErrorHeader);

    /// <summary>The app asks that a reminder or timer fire no more.</summary>
    public bool AsksToCancel =>
        response.Headers.NonValidated.TryGetValues(CancelHeader, out var values) && values.ToString() is "true" or "True" or "1" or "y" or "yes" or "on";

    /// <exception cref="HttpRequestException">It is over <see cref="ActorLimits.AnswerBytesMax"/>, or breaks off.</exception>
    public static async Task<ActorAnswer> ReadAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            await response.Content.LoadIntoBufferAsync(ActorLimits.AnswerBytesMax, cancellation);
            return new ActorAnswer(response, await response.Content.ReadAsByteArrayAsync(cancellation));
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    public void Dispose() => response.Dispose();
}
