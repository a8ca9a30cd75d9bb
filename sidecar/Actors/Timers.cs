using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>Timers of one app's active actors, in memory only: an actor that is deactivated loses its timers.</summary>
internal sealed class Timers : IAsyncDisposable
{
    private readonly ActorHost _host;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly Agenda<ReminderKey> _agenda;
    private readonly Lock _gate = new();
    private readonly Dictionary<ActorKey, Dictionary<string, Reminder>> _timers = []; // guarded by the gate
    private readonly CancellationTokenSource _stopping = new();
    private Task _firing = Task.CompletedTask;
    private int _count;

    public Timers(ActorHost host, TimeProvider clock, ILogger logger)
    {
        _host = host;
        _clock = clock;
        _logger = logger;
        _agenda = new Agenda<ReminderKey>(clock);
    }

    public void Run() => _firing = FiringLoop.RunAsync(_agenda, _ => Task.CompletedTask, FireAsync, _stopping.Token);

    /// <exception cref="DaprApiException">The actor is not active, or the request is malformed.</exception>
    public void Create(ReminderKey key, ReminderRequest request)
    {
        if (!_host.IsHosted(key.Actor.Type)) throw ActorErrors.TimerCreate($"can't create timer for actor {key.Actor}: actor type not registered");
        if (!_host.IsActive(key.Actor)) throw ActorErrors.InstanceMissing();

        Schedule schedule;
        try
        {
            schedule = Schedule.Create("timer", request.DueTime, request.Period, request.Ttl, _clock.GetUtcNow());
        }
        catch (FormatException error)
        {
            throw ActorErrors.TimerCreate(error.Message);
        }

        Put(new Reminder(key, schedule, request.Data, request.Callback));

        // Deactivated between the look above and here: what was put in after its timers were swept goes too.
        if (!_host.IsActive(key.Actor)) Remove(key.Actor);
    }

    public void Delete(ReminderKey key)
    {
        lock (_gate)
        {
            if (!_timers.TryGetValue(key.Actor, out Dictionary<string, Reminder>? timers) || !timers.Remove(key.Name)) return;

            _count--;
            if (timers.Count == 0) _timers.Remove(key.Actor);
            _agenda.Remove(key);
        }
    }

    /// <summary>Drops all timers of an actor that is no longer active.</summary>
    public void Remove(ActorKey actor)
    {
        lock (_gate)
        {
            if (!_timers.Remove(actor, out Dictionary<string, Reminder>? timers)) return;

            _count -= timers.Count;
            foreach (string name in timers.Keys) _agenda.Remove(new ReminderKey(actor, name));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _firing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _agenda.Dispose();
    }

    private void Put(Reminder timer)
    {
        lock (_gate)
        {
            if (!_timers.TryGetValue(timer.Key.Actor, out Dictionary<string, Reminder>? timers))
            {
                timers = new Dictionary<string, Reminder>(StringComparer.Ordinal);
                _timers[timer.Key.Actor] = timers;
            }

            if (!timers.ContainsKey(timer.Key.Name))
            {
                if (_count >= ActorLimits.TimersMax) throw ActorErrors.TimerCreate($"{_count} timers are registered, no more are taken");
                _count++;
            }

            timers[timer.Key.Name] = timer;
            _agenda.Set(timer.Key, timer.Schedule.Due);
        }
    }

    private Reminder? Find(ReminderKey key)
    {
        lock (_gate) return _timers.GetValueOrDefault(key.Actor)?.GetValueOrDefault(key.Name);
    }

    private async Task FireAsync(Agenda<ReminderKey>.Entry entry)
    {
        if (Find(entry.Key) is not { } timer || !_agenda.IsCurrent(entry)) return;

        try
        {
            (FiringOutcome outcome, string reason) = await ReminderCalls.CallAsync(_host, timer, isTimer: true, _clock, _stopping.Token);
            if (outcome is FiringOutcome.Failed or FiringOutcome.Unreachable) Log.TimerFailed(_logger, entry.Key.Name, entry.Key.Actor, reason);

            // The next tick is set after the call has returned: a slow callback never overlaps itself. A failure counts as a firing.
            bool isOver = outcome is FiringOutcome.Cancelled or FiringOutcome.NotActive;
            Settle(entry, timer, isOver ? null : timer.Schedule.Next(_clock.GetUtcNow()));
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Stopping: timers are not kept.
        }
    }

    private void Settle(Agenda<ReminderKey>.Entry entry, Reminder timer, Schedule? next)
    {
        lock (_gate)
        {
            // Replaced or removed while it fired: leave what is there now alone.
            if (!_agenda.IsCurrent(entry) || !_timers.TryGetValue(entry.Key.Actor, out Dictionary<string, Reminder>? timers)) return;

            if (next is null)
            {
                Delete(entry.Key);
                return;
            }

            timers[entry.Key.Name] = timer with { Schedule = next };
            _agenda.Move(entry, next.Due);
        }
    }
}
