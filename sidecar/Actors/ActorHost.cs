using System.Collections.Concurrent;
using System.Text;
using Mesh.Sidecar.Invocation;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>The app could not be reached, or broke off before it had answered.</summary>
internal sealed class AppUnreachableException(string reason, Exception inner) : Exception(reason, inner);

/// <summary>
/// The actors that one app hosts: which are active, and their turns. A turn that has begun runs to its end even where the
/// caller leaves: the app cannot be made to stop, and the next turn must not begin beside it.
/// </summary>
internal sealed class ActorHost(SidecarContext context, AppChannel app, ActorMetrics metrics, ILogger logger) : IAsyncDisposable
{
    private const int FaultCharsMax = 4_096;
    private const int DeactivatingMax = 16;
    private static readonly TimeSpan ShutdownMax = TimeSpan.FromSeconds(5);
    private readonly TimeProvider _clock = context.Clock;
    private readonly ConcurrentDictionary<ActorKey, ActorInstance> _active = new();
    private readonly CancellationTokenSource _aborting = new();
    private volatile ActorConfiguration _configuration = ActorConfiguration.None;
    private volatile bool _isClosing;
    private int _epoch; // counts the app's processes: an actor that was active in an earlier one is not active
    private long _lastAnswerTicks;
    private int _count;
    private int _isTrimming;

    public string AppId => context.AppId;

    public ActorConfiguration Configuration => _configuration;

    /// <summary>Raised where a call was refused: the app's process is gone. Whoever listens calls <see cref="Forget"/>.</summary>
    public Action? Unreachable { get; set; }

    /// <summary>Raised when an actor is no longer active, whatever the reason.</summary>
    public Action<ActorKey>? Deactivated { get; set; }

    /// <summary>Time of the last answer of the app.</summary>
    public DateTimeOffset LastAnswer => new(Volatile.Read(ref _lastAnswerTicks), TimeSpan.Zero);

    public void Configure(ActorConfiguration configuration) => _configuration = configuration;

    public bool IsHosted(string type) => _configuration.Types.ContainsKey(type);

    public bool IsActive(ActorKey actor) => _active.ContainsKey(actor);

    /// <summary>Calls that wait for an actor's turn.</summary>
    public int WaitingFor(ActorKey actor) => _active.GetValueOrDefault(actor)?.Waiting ?? 0;

    /// <summary>Active actors by type, each hosted type included.</summary>
    public IReadOnlyDictionary<string, int> Counts()
    {
        Dictionary<string, int> counts = _configuration.Types.Keys.ToDictionary(type => type, _ => 0, StringComparer.Ordinal);
        foreach (ActorKey actor in _active.Keys) counts[actor.Type] = counts.GetValueOrDefault(actor.Type) + 1;
        return counts;
    }

    /// <summary>One turn of an actor: activates it, waits in line, sends the request (which it disposes), reads the answer.</summary>
    /// <exception cref="DaprApiException">The method failed, or too many wait.</exception>
    /// <exception cref="AppUnreachableException">The app did not answer.</exception>
    /// <exception cref="OperationCanceledException">The caller left.</exception>
    public async Task<ActorAnswer> InvokeAsync(ActorKey key, HttpRequestMessage request, CancellationToken caller)
    {
        ActorInstance actor;
        try
        {
            actor = await EnterAsync(key, caller);
        }
        catch
        {
            request.Dispose();
            throw;
        }

        return await RunAsync(actor, request, caller);
    }

    /// <summary>As <see cref="InvokeAsync"/>, but only where the actor is active already; null where it is not.</summary>
    public async Task<ActorAnswer?> InvokeActiveAsync(ActorKey key, HttpRequestMessage request, CancellationToken caller)
    {
        if (_isClosing || !_active.TryGetValue(key, out ActorInstance? actor) || !await actor.EnterAsync(caller))
        {
            request.Dispose();
            return null;
        }

        return await RunAsync(actor, request, caller);
    }

    /// <summary>Deactivates the actors that have been idle for longer than their type allows.</summary>
    public Task DeactivateIdleAsync(CancellationToken cancellation)
    {
        DateTimeOffset now = _clock.GetUtcNow();
        return DeactivateAsync(_active.Values, actor => now - actor.IdleSince >= actor.Options.IdleTimeout, cancellation);
    }

    /// <summary>The app's process is gone: none of its actors is active any more, and there is nobody to tell.</summary>
    public void Forget()
    {
        Interlocked.Increment(ref _epoch);
        int count = 0;
        foreach (ActorInstance actor in _active.Values)
        {
            if (!actor.TryEnter()) continue; // busy: its turn ends it

            Remove(actor);
            actor.Close();
            count++;
        }

        Log.AppLost(logger, AppId, count);
    }

    /// <summary>Takes no more calls, lets turns end, tells the app to deactivate every actor; gives up after five seconds.</summary>
    public async ValueTask DisposeAsync()
    {
        _isClosing = true;
        using var limit = new CancellationTokenSource(ShutdownMax, _clock);
        try
        {
            await Parallel.ForEachAsync(_active.Values, Parallelism(limit.Token), async (actor, cancellation) =>
            {
                if (await actor.EnterAsync(cancellation) && !await DeactivateEnteredAsync(actor, cancellation)) await limit.CancelAsync();
            });
        }
        catch (OperationCanceledException)
        {
            // Out of time, or the app is gone before its sidecar: what is still running is cut below.
        }

        await _aborting.CancelAsync();
    }

    private async ValueTask<ActorInstance> EnterAsync(ActorKey key, CancellationToken caller)
    {
        while (true)
        {
            if (_isClosing) throw ActorErrors.Closed();

            ActorInstance actor = _active.TryGetValue(key, out ActorInstance? active) ? active : Activate(key);
            ValueTask<bool> entering = actor.EnterAsync(caller);
            bool entered;
            if (entering.IsCompleted)
            {
                entered = await entering;
            }
            else
            {
                long started = _clock.GetTimestamp();
                entered = await entering;
                metrics.Waited(key.Type, _clock.GetElapsedTime(started));
            }

            if (entered) return actor;
            Remove(actor); // closed, but perhaps not yet taken out
        }
    }

    private ActorInstance Activate(ActorKey key)
    {
        if (!_configuration.Types.TryGetValue(key.Type, out ActorTypeOptions? options)) throw ActorErrors.NoAddress(key);
        if (_count >= 2 * ActorLimits.ActiveMax) throw ActorErrors.Invoke($"{_count} actors are active, too many to activate {key}; call again later");

        var made = new ActorInstance(key, options, _clock.GetUtcNow());
        ActorInstance actor = _active.GetOrAdd(key, made);
        if (actor != made) return actor;

        metrics.Activated(key.Type, 1);
        if (Interlocked.Increment(ref _count) > ActorLimits.ActiveMax && Interlocked.Exchange(ref _isTrimming, 1) == 0) _ = TrimAsync();
        return actor;
    }

    private void Remove(ActorInstance actor)
    {
        if (!_active.TryRemove(new(actor.Key, actor))) return;

        Interlocked.Decrement(ref _count);
        metrics.Activated(actor.Key.Type, -1);
        Deactivated?.Invoke(actor.Key);
    }

    private async Task<ActorAnswer> RunAsync(ActorInstance actor, HttpRequestMessage request, CancellationToken caller)
    {
        Task<ActorAnswer> turn = TurnAsync(actor, request, caller);
        try
        {
            return await turn.WaitAsync(caller);
        }
        catch (OperationCanceledException) when (!turn.IsCompleted)
        {
            _ = turn.ContinueWith(
                static left => { if (left.IsCompletedSuccessfully) left.GetAwaiter().GetResult().Dispose(); else _ = left.Exception; },
                CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            throw;
        }
    }

    private async Task<ActorAnswer> TurnAsync(ActorInstance actor, HttpRequestMessage request, CancellationToken caller)
    {
        long started = _clock.GetTimestamp();
        var call = new Call(_epoch);
        string outcome = "failed";
        TimeSpan drain = actor.Options.DrainTimeout;
        using var limit = new CancellationTokenSource(Timeout.InfiniteTimeSpan, _clock);
        using CancellationTokenRegistration left = caller.UnsafeRegister(_ => limit.CancelAfter(drain), null);
        using CancellationTokenRegistration aborted = _aborting.Token.UnsafeRegister(_ => limit.Cancel(), null);
        try
        {
            using (request)
            {
                ActorAnswer answer = await CallAsync(call, request, limit.Token);
                outcome = "done";
                return answer;
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            if (!_aborting.IsCancellationRequested) Log.TurnCut(logger, actor.Key, drain);
            throw ActorErrors.Closed();
        }
        finally
        {
            End(actor, call);
            metrics.Turned(actor.Key.Type, outcome, _clock.GetElapsedTime(started));
        }
    }

    private void End(ActorInstance actor, Call call)
    {
        if (call.Epoch == Volatile.Read(ref _epoch))
        {
            actor.Leave(_clock.GetUtcNow());
            return;
        }

        Remove(actor);
        actor.Close();
    }

    private async Task<ActorAnswer> CallAsync(Call call, HttpRequestMessage request, CancellationToken cancellation)
    {
        ActorAnswer answer;
        try
        {
            HttpResponseMessage response = await ConnectRetry.SendAsync(app, request, _clock, (_, _) => Refused(call), cancellation);
            answer = await ActorAnswer.ReadAsync(response, cancellation);
        }
        catch (HttpRequestException failure)
        {
            if (ConnectRetry.IsNotConnected(failure)) Refused(call);
            throw new AppUnreachableException(failure.Message, failure);
        }

        Volatile.Write(ref _lastAnswerTicks, _clock.GetUtcNow().UtcTicks);
        int status = (int)answer.Response.StatusCode;
        if (status == StatusCodes.Status200OK) return answer;

        using (answer)
        {
            if (status == StatusCodes.Status404NotFound) throw ActorErrors.Invoke($"actor method not found: {request.RequestUri!.AbsolutePath.TrimStart('/')}");
            string fault = Encoding.UTF8.GetString(answer.Body, 0, Math.Min(answer.Body.Length, FaultCharsMax));
            throw ActorErrors.Invoke($"error from actor service: ({status}) {fault}");
        }
    }

    // What is sent from here on reaches the app's next process.
    private void Refused(Call call)
    {
        Unreachable?.Invoke();
        call.Epoch = Volatile.Read(ref _epoch);
    }

    // Asked again with the turn in hand: a call may have come and gone in between.
    private Task DeactivateAsync(IEnumerable<ActorInstance> actors, Func<ActorInstance, bool> isMeant, CancellationToken cancellation) =>
        Parallel.ForEachAsync(actors.Where(actor => !actor.IsBusy && isMeant(actor)), Parallelism(cancellation), async (actor, stop) =>
        {
            if (!actor.TryEnter()) return;
            if (isMeant(actor)) await DeactivateEnteredAsync(actor, stop);
            else actor.Leave(actor.IdleSince);
        });

    /// <summary>
    /// Ends an actor whose turn we have. It stays active until the app has answered, since it may save its state on the way
    /// out, and calls that come meanwhile wait and then activate it anew. False where the app is gone.
    /// </summary>
    private async Task<bool> DeactivateEnteredAsync(ActorInstance actor, CancellationToken cancellation)
    {
        bool isReached = true;
        using var limit = new CancellationTokenSource(actor.Options.DrainTimeout, _clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Delete, new Uri(actor.Key.AppPath, UriKind.Relative));
            using HttpResponseMessage response = await app.SendAsync(request, either.Token);
            if (response.IsSuccessStatusCode) Log.Deactivated(logger, actor.Key);
            else Log.DeactivationFailed(logger, actor.Key, $"status {(int)response.StatusCode}");
        }
        catch (HttpRequestException)
        {
            // The app is gone, and its actors with it: what stopping a mesh looks like, not a fault.
            isReached = false;
            Log.Deactivated(logger, actor.Key);
        }
        catch (OperationCanceledException failure)
        {
            isReached = false;
            Log.DeactivationFailed(logger, actor.Key, failure.Message);
        }
        finally
        {
            Remove(actor);
            actor.Close();
        }

        return isReached;
    }

    private async Task TrimAsync()
    {
        try
        {
            await Task.Yield();
            Log.TooManyActive(logger, _count, ActorLimits.ActiveMax);
            ActorInstance[] oldest = [.. _active.Values.Where(actor => !actor.IsBusy).OrderBy(actor => actor.IdleSince).Take(ActorLimits.ActiveMax / 10)];
            await DeactivateAsync(oldest, static _ => true, _aborting.Token);
        }
        catch (OperationCanceledException)
        {
            // The sidecar stops; so do its actors.
        }
        finally
        {
            Volatile.Write(ref _isTrimming, 0);
        }
    }

    /// <summary>One call of the app, and which of its processes it was sent to.</summary>
    private sealed class Call(int epoch)
    {
        public int Epoch { get; set; } = epoch;
    }

    private static ParallelOptions Parallelism(CancellationToken cancellation) =>
        new() { MaxDegreeOfParallelism = DeactivatingMax, CancellationToken = cancellation };
}
