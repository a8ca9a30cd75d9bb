using Mesh.Host.Topology;

namespace Mesh.Host;

/// <summary>Asks an app for <c>/readyz</c> until it says 200, and tells why not where that takes long.</summary>
internal sealed class ReadinessProbe(HttpClient http, TimeProvider clock, ILogger logger)
{
    public static readonly TimeSpan ComplainAfter = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(5);

    /// <summary>Returns once the app is ready. Logs the reason each time another minute has passed without.</summary>
    public async Task WaitAsync(AppTemplate app, string url, CancellationToken cancellation)
    {
        Uri check = new($"{url}/readyz");
        long started = clock.GetTimestamp();
        TimeSpan nextComplaint = ComplainAfter;
        while (await FaultAsync(check, cancellation) is { } fault)
        {
            if (clock.GetElapsedTime(started) >= nextComplaint)
            {
                Log.NotReady(logger, app.AppId, (int)nextComplaint.TotalSeconds, fault);
                nextComplaint += ComplainAfter;
            }

            await Task.Delay(Pause, clock, cancellation);
        }

        Log.Ready(logger, app.AppId);
    }

    // Null = ready. An app without a readiness check (404: written for Dapr, not for this mesh) is ready when it answers.
    private async Task<string?> FaultAsync(Uri check, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(AnswerPatience);
        try
        {
            using HttpResponseMessage response = await http.GetAsync(check, patience.Token);
            if (response.IsSuccessStatusCode || response.StatusCode is System.Net.HttpStatusCode.NotFound) return null;
            string body = await response.Content.ReadAsStringAsync(patience.Token);
            return $"{check} answers {(int)response.StatusCode}: {(body.Length > 500 ? body[..500] : body)}";
        }
        catch (HttpRequestException exception)
        {
            return $"{check} does not answer: {exception.Message}";
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return $"{check} took more than {AnswerPatience.TotalSeconds} s";
        }
    }
}
