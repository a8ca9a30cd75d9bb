using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Invocation;

/// <summary>
/// Sends to an app that may be restarting. Where it refuses the connection nothing has been sent, so that trying again can
/// deliver nothing twice: three more tries within a second. Every other failure goes to the caller.
/// </summary>
internal static class ConnectRetry
{
    private static readonly TimeSpan[] Pauses = [TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(300), TimeSpan.FromMilliseconds(600)];

    public static int RetriesMax => Pauses.Length;

    public static bool IsNotConnected(HttpRequestException failure) => failure.HttpRequestError == HttpRequestError.ConnectionError;

    /// <exception cref="HttpRequestException">The app still refuses, or failed otherwise.</exception>
    public static async Task<HttpResponseMessage> SendAsync(
        AppChannel app, HttpRequestMessage request, TimeProvider clock, Action<int, string>? retrying, CancellationToken cancellation)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return await app.SendAsync(request, cancellation);
            }
            catch (HttpRequestException refused) when (attempt < Pauses.Length && IsNotConnected(refused) && !BodyStarted(request))
            {
                retrying?.Invoke(attempt + 1, refused.Message);
                request.Headers.Remove("dapr-api-token"); // the channel adds it on each try
                await Task.Delay(Pauses[attempt], clock, cancellation);
            }
        }
    }

    private static bool BodyStarted(HttpRequestMessage request) => request.Content is RequestBodyContent { Started: true };
}
