namespace Mesh.Sidecar.Command;

/// <summary><c>--wait</c>: returns when the sidecar on a port of this machine takes outbound calls.</summary>
internal static class WaitCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    public static async Task<int> RunAsync(int httpPort, TimeProvider clock, TextWriter errors)
    {
        using var timeout = new CancellationTokenSource(Patience, clock);
        using var http = new HttpClient();
        var address = new Uri($"http://127.0.0.1:{httpPort}/v1.0/healthz/outbound");
        while (!timeout.IsCancellationRequested)
        {
            try
            {
                using HttpResponseMessage answer = await http.GetAsync(address, timeout.Token);
                if (answer.IsSuccessStatusCode) return 0;
                await Task.Delay(Pause, clock, timeout.Token);
            }
            catch (HttpRequestException)
            {
                await Task.Delay(Pause, clock, timeout.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        await errors.WriteLineAsync($"No sidecar was ready on {address} within {Patience.TotalSeconds:0} s.");
        return 1;
    }
}
