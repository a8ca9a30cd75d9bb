namespace Mesh.Sidecar.Actors;

/// <summary>Takes what falls due off an agenda and fires it, a bounded number at a time.</summary>
internal static class FiringLoop
{
    /// <summary>Runs until stopped, then until what is in its call has returned.</summary>
    /// <param name="isUp">Nothing fires while this waits.</param>
    /// <param name="fire">Must not throw.</param>
    public static async Task RunAsync(
        Agenda<ReminderKey> agenda, Func<CancellationToken, Task> isUp, Func<Agenda<ReminderKey>.Entry, Task> fire, CancellationToken stopping)
    {
        using var slots = new SemaphoreSlim(ActorLimits.FiringMax);
        int toReturn = ActorLimits.FiringMax;
        try
        {
            while (true)
            {
                toReturn = ActorLimits.FiringMax;
                await slots.WaitAsync(stopping);
                toReturn = ActorLimits.FiringMax - 1; // the loop itself holds one
                await isUp(stopping);
                _ = FireAsync(await agenda.NextAsync(stopping));
            }
        }
        catch (OperationCanceledException)
        {
            for (int i = 0; i < toReturn; i++) await slots.WaitAsync(CancellationToken.None);
        }

        async Task FireAsync(Agenda<ReminderKey>.Entry entry)
        {
            try
            {
                await fire(entry);
            }
            finally
            {
                slots.Release();
            }
        }
    }
}
