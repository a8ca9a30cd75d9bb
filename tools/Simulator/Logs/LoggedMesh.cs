using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Logs;

/// <summary>
/// A mesh in simulated time, with just as much of it as training rows are made of: users' sequences and items' counters as of each
/// request. What happened before a request is applied before it is served, what comes later is not, so no row knows its future.
/// </summary>
internal sealed class LoggedMesh(SyntheticWorld world, string name, TrainingLogOptions options, Pace pace, Random random)
{
    public const string Surface = "home";
    public static readonly int Click = ActionTaxonomy.Default.IndexOf("click");

    private static readonly int FollowAuthor = ActionTaxonomy.Default.IndexOf("follow_author");
    private static readonly int BlockAuthor = ActionTaxonomy.Default.IndexOf("block_author");

    // Both queues: by time, then by order of arrival, so that a run is repeatable.
    private readonly PriorityQueue<Visit, (long TimeMs, int Order)> _visits = new();
    private readonly PriorityQueue<Deed, (long TimeMs, int Order)> _deeds = new();
    private readonly ItemCounters _counters = new(world.Catalogue.Count);
    private readonly Dictionary<int, LoggedUser> _users = [];
    private readonly Behaviour _behaviour = new(random);
    private LoggingPolicy? _policy;
    private int _order;

    /// <summary>Has a user come at a moment and ask for so many pages, one after the other.</summary>
    public void Expect(int user, long timeMs, int pages) => _visits.Enqueue(new Visit(user, pages), (timeMs, _order++));

    /// <summary>Serves every visit that is expected, in order of time.</summary>
    public IEnumerable<TrainingRow> Serve()
    {
        while (_visits.TryDequeue(out Visit visit, out (long TimeMs, int) at)) yield return ServePage(visit, at.TimeMs);
    }

    private TrainingRow ServePage(Visit visit, long nowMs)
    {
        Settle(nowMs);
        if (!_users.TryGetValue(visit.User, out LoggedUser? user))
        {
            _users[visit.User] = user = new LoggedUser(visit.User, $"{world.IdOfUser(visit.User)}{name}", world.Population[visit.User].Follows);
        }

        _policy ??= new LoggingPolicy(world, _counters, random);
        List<int> page = _policy.Choose(user, random.Next(options.PageItems.Min, options.PageItems.Max + 1), nowMs);
        var row = new TrainingRow
        {
            RequestId = EventIds.Make(nowMs, "request", user.Id, $"{user.Requests++}"), UserId = user.Id, TimeMs = nowMs, Surface = Surface,
            Sequence = user.Newest(options.SequenceMax), Arms = { ["ranker"] = "logging" },
        };
        foreach (int item in page)
        {
            row.Candidates.Add(new TrainingCandidate
            {
                ItemId = world.IdOfItem(item), Served = true, InNetwork = user.Follows.Contains(world.Catalogue[item].Author), Counters = _counters.Of(item),
            });
        }

        foreach (int item in page) _counters.Add(item, ActionTaxonomy.Default.ImpressionIndex, nowMs);
        long doneMs = Look(user, page, row, nowMs);
        if (visit.Pages > 1) Expect(visit.User, doneMs + pace.PauseMs(random), visit.Pages - 1);
        return row;
    }

    // The user goes down the page and acts: labels of the row now, events of the mesh when their time has come.
    private long Look(LoggedUser user, List<int> page, TrainingRow row, long nowMs)
    {
        double atMs = nowMs;
        int depth = Attention.Depth(page.Count, random);
        for (int position = 0; position < depth; position++)
        {
            atMs += pace.LookMs;
            int item = page[position];
            TrainingCandidate candidate = row.Candidates[position];
            long stayMs = 0;
            foreach ((string name, long delayMs, float? value) in _behaviour.Draw(world.Affinity(user.Index, item), world.Catalogue[item].DurationMs))
            {
                int action = ActionTaxonomy.Default.IndexOf(name);
                candidate.Actions.Add((uint)action);
                if (name == "dwell")
                {
                    candidate.DwellSeconds = value ?? 0;
                    stayMs = (long)(delayMs * pace.DelayScale);
                }

                var deed = new Deed(user, item, action, value ?? 0);
                _deeds.Enqueue(deed, ((long)(atMs + Math.Max(1, delayMs * pace.DelayScale)), _order++));
            }

            atMs += stayMs;
        }

        return (long)atMs + 1;
    }

    // Applies what happened strictly before a moment.
    private void Settle(long nowMs)
    {
        while (_deeds.TryPeek(out Deed deed, out (long TimeMs, int) at) && at.TimeMs < nowMs)
        {
            _deeds.Dequeue();
            deed.User.Append(world.IdOfItem(deed.Item), deed.Action, at.TimeMs, deed.Value);
            _counters.Add(deed.Item, deed.Action, at.TimeMs);
            int author = world.Catalogue[deed.Item].Author;
            if (deed.Action == Click) deed.User.Clicked.Add(deed.Item);
            if (deed.Action == FollowAuthor && !deed.User.Follows.Contains(author)) deed.User.Follows.Add(author);
            if (deed.Action == BlockAuthor) deed.User.Blocks.Add(author);
        }
    }

    private readonly record struct Visit(int User, int Pages);

    private readonly record struct Deed(LoggedUser User, int Item, int Action, float Value);
}
