using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Threads that share the steps of one search. The searching thread takes parts of a step like any other, so a helper that the thread pool
/// starts late, or never, costs nothing; only a part that a helper has taken is waited for. A helper stays from step to step, as waking
/// one takes longer than most steps, and leaves when none has come for a while.
/// </summary>
internal sealed class SearchTeam : IThreadPoolWorkItem
{
    // Longer than what only the searching thread does between two steps: up to 100 us, where 10,000 rows are gathered.
    private const int StepPatienceUs = 250;

    // A thread that sleeps is woken in 30 us, at 10 us of the waker's time, where a whole search takes 30 to 1,000: helpers stay awake
    // for the next search as long as that wait costs little.
    private const int SearchPatienceUs = 100;

    private static int s_waiting;            // helpers awake without a search
    private static SearchTeam? s_open;       // a team that one of them may join
    private static int s_busy; // threads in searches, helpers included

    private readonly int _size;
    private int _joined;
    private volatile Step? _step;
    private volatile bool _hasEnded;

    private SearchTeam(int size) => _size = size;

    /// <summary>Threads at most, the searching one included; each has a number below.</summary>
    public int Size => _size;

    /// <summary>Announces a search, which <see cref="Leave"/> takes back.</summary>
    public static void Enter() => Interlocked.Increment(ref s_busy);

    public static void Leave() => Interlocked.Decrement(ref s_busy);

    /// <summary>A team for a search that has entered; null where it is to go on alone: it may, or other searches keep all processors busy.</summary>
    /// <param name="threads">At most, the searching one included.</param>
    public static SearchTeam? TryForm(int threads)
    {
        int size = Math.Min(threads, Environment.ProcessorCount - Volatile.Read(ref s_busy) + 1);
        return size < 2 ? null : Form(size);
    }

    /// <summary>A team, whatever the processors do.</summary>
    internal static SearchTeam Form(int size)
    {
        var team = new SearchTeam(size);
        for (int i = 1; i < size; i++)
        {
            bool isOpen = Volatile.Read(ref s_waiting) > 0 && Interlocked.CompareExchange(ref s_open, team, null) is null;
            if (!isOpen) ThreadPool.UnsafeQueueUserWorkItem(team, preferLocal: false);
        }

        return team;
    }

    /// <summary>Does every part of a step, each once; returns when all are done.</summary>
    /// <param name="parts">Numbered from 0, and begun in that order.</param>
    /// <param name="work">Called with the number of the thread and of the part.</param>
    /// <exception cref="Exception">What a part threw first; parts not begun by then are left out.</exception>
    public void Run(int parts, Action<int, int> work)
    {
        var step = new Step(parts, work);
        _step = step;
        step.Take(worker: 0);
        step.Wait();
    }

    /// <summary>Sends the helpers away.</summary>
    public void End()
    {
        Interlocked.CompareExchange(ref s_open, null, this);
        _hasEnded = true;
        _step = null;
    }

    void IThreadPoolWorkItem.Execute()
    {
        for (SearchTeam? team = this; team is not null; team = AwaitAnother()) team.Help();
    }

    private static SearchTeam? AwaitAnother()
    {
        Interlocked.Increment(ref s_waiting);
        long since = Stopwatch.GetTimestamp();
        SearchTeam? team;
        do
        {
            Thread.SpinWait(8);
            team = Volatile.Read(ref s_open);
            if (team is not null && Interlocked.CompareExchange(ref s_open, null, team) != team) team = null;
        }
        while (team is null && Stopwatch.GetElapsedTime(since).TotalMicroseconds < SearchPatienceUs);

        Interlocked.Decrement(ref s_waiting);
        return team;
    }

    private void Help()
    {
        int worker = Interlocked.Increment(ref _joined);
        Enter();
        Step? done = null;
        long since = Stopwatch.GetTimestamp();
        while (!_hasEnded && Stopwatch.GetElapsedTime(since).TotalMicroseconds < StepPatienceUs)
        {
            if (_step is { } step && step != done)
            {
                step.Take(worker);
                done = step;
                since = Stopwatch.GetTimestamp();
            }
            else
            {
                Thread.SpinWait(8);
            }
        }

        Leave();
    }

    private sealed class Step(int parts, Action<int, int> work)
    {
        private int _taken;
        private int _done;
        private ExceptionDispatchInfo? _fault;

        public void Take(int worker)
        {
            int part;
            while ((part = Interlocked.Increment(ref _taken) - 1) < parts)
            {
                try
                {
                    if (Volatile.Read(ref _fault) is null) work(worker, part);
                }
#pragma warning disable CA1031 // whatever it is, the searching thread throws it
                catch (Exception fault)
#pragma warning restore CA1031
                {
                    Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(fault), null);
                }

                Interlocked.Increment(ref _done);
            }
        }

        public void Wait()
        {
            var spinner = default(SpinWait);
            while (Volatile.Read(ref _done) < parts) spinner.SpinOnce(sleep1Threshold: -1);
            _fault?.Throw();
        }
    }
}
