using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>How a reminder or timer call ended, and so what becomes of it.</summary>
internal enum FiringOutcome
{
    /// <summary>The method ran.</summary>
    Done,

    /// <summary>The method ran and asks not to be called again.</summary>
    Cancelled,

    /// <summary>The method failed.</summary>
    Failed,

    /// <summary>The app did not answer: whether it ran is unknown.</summary>
    Unreachable,

    /// <summary>The actor is not active (timers only), or its type no longer hosted.</summary>
    NotActive,
}

/// <summary>Calls an actor's reminder or timer method, as one of its turns.</summary>
internal static class ReminderCalls
{
    /// <summary>Longest wait for the turn and its end. The turn itself is not cut, only no longer waited for.</summary>
    private static readonly TimeSpan WaitMax = TimeSpan.FromMinutes(5);

    public static async Task<(FiringOutcome Outcome, string Reason)> CallAsync(
        ActorHost host, Reminder reminder, bool isTimer, TimeProvider clock, CancellationToken stopping)
    {
        using var limit = new CancellationTokenSource(WaitMax, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stopping);
        try
        {
            using ActorAnswer? answer = isTimer
                ? await host.InvokeActiveAsync(reminder.Key.Actor, Request(reminder, isTimer), either.Token)
                : await host.InvokeAsync(reminder.Key.Actor, Request(reminder, isTimer), either.Token);
            if (answer is null) return (FiringOutcome.NotActive, "the actor is not active");
            if (answer.IsError) return (FiringOutcome.Failed, "the actor reported an exception");
            return (answer.AsksToCancel ? FiringOutcome.Cancelled : FiringOutcome.Done, "");
        }
        catch (AppUnreachableException failure)
        {
            return (FiringOutcome.Unreachable, failure.Message);
        }
        catch (DaprApiException failure) when (!host.IsHosted(reminder.Key.Actor.Type))
        {
            return (FiringOutcome.NotActive, failure.Message);
        }
        catch (DaprApiException failure) when (failure.ErrorCode == ActorErrors.ClosedCode)
        {
            return (FiringOutcome.Unreachable, failure.Message); // its turn was cut, or never came: not a failure of the method
        }
        catch (DaprApiException failure)
        {
            return (FiringOutcome.Failed, failure.Message);
        }
        catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
        {
            return (FiringOutcome.Failed, $"not done within {WaitMax}");
        }
    }

    private static HttpRequestMessage Request(Reminder reminder, bool isTimer)
    {
        string path = $"{reminder.Key.Actor.AppPath}/method/{(isTimer ? "timer" : "remind")}/{Uri.EscapeDataString(reminder.Key.Name)}";
        var content = new ByteArrayContent(reminder.ToCallBody(isTimer));
        content.Headers.ContentType = new("application/json");
        return new HttpRequestMessage(HttpMethod.Put, new Uri(path, UriKind.Relative)) { Content = content };
    }
}
