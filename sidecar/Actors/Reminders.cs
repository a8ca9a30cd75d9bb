using Mesh.Sidecar.Runtime;
using Mesh.Sidecar.State;

namespace Mesh.Sidecar.Actors;

/// <summary>
/// Reminders of one app: stored before they are acknowledged, stored again after each firing, so that a crash anywhere
/// fires one twice at worst and loses none. Memory holds when each is due and no more; what is fired comes from the store.
/// </summary>
internal sealed class Reminders : IAsyncDisposable
{
    private const int RetriesMax = 3;
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LossPauseMax = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ShutdownMax = TimeSpan.FromSeconds(5);
    private readonly ActorHost _host;
    private readonly ReminderStore _store;
    private readonly ActorMetrics _metrics;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly Agenda<ReminderKey> _agenda;
    private readonly HashSet<string> _loadedTypes = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim[] _writing = [.. Enumerable.Range(0, 64).Select(_ => new SemaphoreSlim(1))];
    private readonly CancellationTokenSource _taking = new(); // cancelled: no more are fired
    private readonly CancellationTokenSource _stopping = new(); // cancelled: those in their calls are let go
    private Task _firing = Task.CompletedTask;

    public Reminders(ActorHost host, ReminderStore store, ActorMetrics metrics, TimeProvider clock, ILogger logger)
    {
        _host = host;
        _store = store;
        _metrics = metrics;
        _clock = clock;
        _logger = logger;
        _agenda = new Agenda<ReminderKey>(clock);
    }

    /// <summary>Puts the stored reminders of types not seen before on the agenda. Those that fell due meanwhile fire at once.</summary>
    public async Task LoadAsync(IEnumerable<string> types, CancellationToken cancellation)
    {
        DateTimeOffset now = _clock.GetUtcNow();
        int count = 0, overdue = 0;
        foreach (string type in types.Where(type => !_loadedTypes.Contains(type)))
        {
            foreach (Reminder reminder in await _store.ListAsync(type, null, cancellation))
            {
                // Registered between start and now: the agenda already has it, and perhaps a later version of it.
                if (_agenda.Contains(reminder.Key)) continue;

                _agenda.Set(reminder.Key, reminder.Schedule.Due);
                count++;
                if (reminder.Schedule.Due < now) overdue++;
            }

            _loadedTypes.Add(type);
        }

        if (count > 0) Log.RemindersLoaded(_logger, count, _host.AppId, overdue);
    }

    /// <summary>Starts firing. Nothing fires while <paramref name="isUp"/> waits.</summary>
    public void Run(Func<CancellationToken, Task> isUp) => _firing = FiringLoop.RunAsync(_agenda, isUp, TryFireAsync, _taking.Token);

    /// <exception cref="DaprApiException">The request is malformed, the reminder exists and must not be overwritten, or the store failed.</exception>
    public async Task CreateAsync(ReminderKey key, ReminderRequest request, CancellationToken cancellation)
    {
        if (_agenda.Count >= ActorLimits.RemindersMax) throw ActorErrors.ReminderCreate($"{_agenda.Count} reminders are registered, no more are taken");

        Schedule schedule;
        try
        {
            schedule = Schedule.Create("reminder", request.DueTime, request.Period, request.Ttl, _clock.GetUtcNow());
        }
        catch (FormatException error)
        {
            throw ActorErrors.ReminderCreate(error.Message);
        }

        var reminder = new Reminder(key, schedule, request.Data);
        using (await LockAsync(key, cancellation))
        {
            try
            {
                await _store.WriteAsync(reminder, request.Overwrite, null, cancellation);
            }
            catch (StateConflictException)
            {
                throw ActorErrors.ReminderExists(key.Name);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                throw ActorErrors.ReminderCreate(error.Message);
            }

            _agenda.Set(key, schedule.Due);
        }
    }

    public async Task<Reminder> GetAsync(ReminderKey key, CancellationToken cancellation)
    {
        try
        {
            return (await _store.FindAsync(key, cancellation))?.Reminder ?? throw ActorErrors.ReminderNotFound(key.Name);
        }
        catch (Exception error) when (error is not (OperationCanceledException or DaprApiException))
        {
            throw ActorErrors.ReminderGet(error.Message);
        }
    }

    public Task<IReadOnlyList<Reminder>> ListAsync(string type, string? actorId, CancellationToken cancellation) =>
        _store.ListAsync(type, actorId, cancellation);

    /// <summary>Deletes a reminder; one that is not there is deleted already.</summary>
    public async Task DeleteAsync(ReminderKey key, CancellationToken cancellation)
    {
        using (await LockAsync(key, cancellation))
        {
            try
            {
                await _store.DeleteAsync(key, null, cancellation);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                throw ActorErrors.ReminderDelete(error.Message);
            }

            _agenda.Remove(key);
        }
    }

    /// <summary>Fires no more, and lets those in their calls end and be stored; what is not done in five seconds fires again after the next start.</summary>
    public async ValueTask DisposeAsync()
    {
        await _taking.CancelAsync();
        await _firing.WaitAsync(ShutdownMax, _clock).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _stopping.CancelAsync();
        await _firing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _agenda.Dispose();
    }

    private async Task TryFireAsync(Agenda<ReminderKey>.Entry entry)
    {
        try
        {
            await FireAsync(entry);
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Still stored with this due time: fires after the next start.
        }
        catch (Exception failure)
        {
            Postpone(entry, failure.Message);
        }
    }

    private async Task FireAsync(Agenda<ReminderKey>.Entry entry)
    {
        if (await _store.FindAsync(entry.Key, _stopping.Token) is not { } stored)
        {
            _agenda.Remove(entry);
            return;
        }

        (Reminder reminder, string etag) = stored;
        DateTimeOffset now = _clock.GetUtcNow();
        if (reminder.Schedule.HasExpired(now))
        {
            await SettleAsync(entry, reminder, etag, null);
            return;
        }

        (FiringOutcome outcome, string reason) = await ReminderCalls.CallAsync(_host, reminder, isTimer: false, _clock, _stopping.Token);
        _metrics.Fired(entry.Key.Actor.Type, outcome.ToString(), now - reminder.Schedule.Due);
        if (outcome is FiringOutcome.Unreachable or FiringOutcome.NotActive)
        {
            Postpone(entry, reason);
        }
        else if (outcome == FiringOutcome.Failed && entry.Failures < RetriesMax)
        {
            entry.Failures++;
            _agenda.Move(entry, _clock.GetUtcNow() + RetryPause);
        }
        else
        {
            if (outcome == FiringOutcome.Failed) Log.ReminderGivenUp(_logger, entry.Key.Name, entry.Key.Actor, entry.Failures + 1, reason);
            (entry.Failures, entry.Losses) = (0, 0);
            await SettleAsync(entry, reminder, etag, outcome == FiringOutcome.Cancelled ? null : reminder.Schedule.Next(_clock.GetUtcNow()));
        }
    }

    // Not the reminder's fault, so this tick is not used up. One that takes its app down with it is tried ever more rarely.
    private void Postpone(Agenda<ReminderKey>.Entry entry, string reason)
    {
        TimeSpan pause = TimeSpan.FromSeconds(Math.Min(LossPauseMax.TotalSeconds, Math.Pow(2, Math.Min(entry.Losses, 6))));
        entry.Losses++;
        Log.ReminderPostponed(_logger, entry.Key.Name, entry.Key.Actor, pause, reason);
        _agenda.Move(entry, _clock.GetUtcNow() + pause);
    }

    /// <summary>
    /// Stores what is left of a reminder after a firing. The ETag makes it give way to a caller who replaced or deleted it
    /// meanwhile, its own callback for one. A crash before this write fires the same tick again.
    /// </summary>
    private async Task SettleAsync(Agenda<ReminderKey>.Entry entry, Reminder reminder, string etag, Schedule? next)
    {
        if (!_agenda.IsCurrent(entry)) return;

        try
        {
            if (next is null)
            {
                await _store.DeleteAsync(entry.Key, etag, _stopping.Token);
                _agenda.Remove(entry);
            }
            else
            {
                await _store.WriteAsync(reminder with { Schedule = next }, overwrite: true, etag, _stopping.Token);
                _agenda.Move(entry, next.Due);
            }
        }
        catch (StateConflictException)
        {
            // Replaced or deleted meanwhile; whoever did that has put the agenda right.
        }
    }

    /// <summary>Store and agenda change together for one reminder. Striped: 64 locks for any number of reminders.</summary>
    private async Task<IDisposable> LockAsync(ReminderKey key, CancellationToken cancellation)
    {
        SemaphoreSlim stripe = _writing[(uint)key.GetHashCode() % (uint)_writing.Length];
        await stripe.WaitAsync(cancellation);
        return new Release(stripe);
    }

    private sealed class Release(SemaphoreSlim stripe) : IDisposable
    {
        public void Dispose() => stripe.Release();
    }
}
