using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>
/// One active actor and whose turn it is: at most one at a time, in the order of arrival. An actor that nobody waits for
/// costs this object and nothing else.
/// </summary>
internal sealed class ActorInstance(ActorKey key, ActorTypeOptions options, DateTimeOffset now)
{
    private readonly Lock _gate = new();
    private LinkedList<Waiter>? _waiters;
    private bool _isBusy;
    private bool _isClosed;
    private long _idleSinceTicks = now.UtcTicks;

    public ActorKey Key => key;

    public ActorTypeOptions Options => options;

    /// <summary>End of the last turn. Meaningless while a turn runs.</summary>
    public DateTimeOffset IdleSince => new(Volatile.Read(ref _idleSinceTicks), TimeSpan.Zero);

    public bool IsBusy => _isBusy;

    /// <summary>Calls in line, the one whose turn it is not counted.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate) return _waiters?.Count ?? 0;
        }
    }

    /// <summary>
    /// Waits for the turn. True: it is the caller's, who must end it with <see cref="Leave"/>. False: this instance was
    /// deactivated meanwhile, look the actor up again.
    /// </summary>
    /// <exception cref="DaprApiException">Too many wait already.</exception>
    public ValueTask<bool> EnterAsync(CancellationToken cancellation)
    {
        Waiter waiter;
        lock (_gate)
        {
            if (_isClosed) return new(false);
            if (!_isBusy)
            {
                _isBusy = true;
                return new(true);
            }

            _waiters ??= [];
            if (_waiters.Count >= ActorLimits.WaitingMax)
            {
                throw ActorErrors.Invoke($"{_waiters.Count} calls already wait for actor {key}; call again later");
            }

            waiter = new Waiter(this);
            waiter.Node = _waiters.AddLast(waiter);
        }

        return new(waiter.WaitAsync(cancellation));
    }

    /// <summary>Takes the turn only where the actor is idle.</summary>
    public bool TryEnter()
    {
        lock (_gate)
        {
            if (_isBusy || _isClosed) return false;
            return _isBusy = true;
        }
    }

    /// <summary>Ends the turn: the next in line has it.</summary>
    public void Leave(DateTimeOffset now)
    {
        Volatile.Write(ref _idleSinceTicks, now.UtcTicks);
        lock (_gate)
        {
            while (_waiters is { First: { } first })
            {
                _waiters.RemoveFirst();
                first.Value.Node = null;
                if (first.Value.TrySetResult(true)) return;
            }

            _isBusy = false;
        }
    }

    /// <summary>Ends the turn and the instance: whoever waits looks the actor up again.</summary>
    public void Close()
    {
        lock (_gate) CloseLocked();
    }

    private void CloseLocked()
    {
        _isClosed = true;
        _isBusy = false;
        if (_waiters is null) return;

        foreach (Waiter waiter in _waiters)
        {
            waiter.Node = null;
            waiter.TrySetResult(false);
        }

        _waiters = null;
    }

    private sealed class Waiter(ActorInstance actor) : TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        /// <summary>Place in the line; null once out of it. Guarded by the actor's gate.</summary>
        public LinkedListNode<Waiter>? Node { get; set; }

        public async Task<bool> WaitAsync(CancellationToken cancellation)
        {
            // Registered outside the gate: a token that is cancelled already calls back at once, and that takes the gate.
            await using CancellationTokenRegistration registration = cancellation.UnsafeRegister(static (state, token) => ((Waiter)state!).Cancel(token), this);
            return await Task;
        }

        private void Cancel(CancellationToken cancellation)
        {
            lock (actor._gate)
            {
                if (Node is null) return; // served or closed meanwhile: the result stands

                actor._waiters!.Remove(Node);
                Node = null;
            }

            TrySetCanceled(cancellation);
        }
    }
}
