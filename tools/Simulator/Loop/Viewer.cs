using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Loop;

/// <summary>One thing that a user does with an item of a page.</summary>
internal sealed record Act(int Item, string Action, long DelayMs, float? Value);

/// <summary>
/// How users of a world look at pages. What a user does with an item, once they look, is a property of the two, and how far they look
/// one of user and visit: the same user in two arms differs in what they are shown, not in luck.
/// </summary>
internal sealed class Viewer(SyntheticWorld world)
{
    private const int OfVisits = 0x51a1;

    /// <summary>In the order in which it happens. An item that is not of this world is -1, and nobody cares for it.</summary>
    public List<Act> Look(int user, int visit, IReadOnlyList<int> page)
    {
        int depth = Attention.Depth(page.Count, new Random((int)world.Hash(user ^ OfVisits, ~visit)));
        var acts = new List<Act>();
        foreach (int item in page.Take(depth).Where(item => item >= 0))
        {
            var behaviour = new Behaviour(new Random((int)world.Hash(~user, item)));
            acts.AddRange(behaviour.Draw(world.Affinity(user, item), world.Catalogue[item].DurationMs).OrderBy(act => act.DelayMs)
                .Select(act => new Act(item, act.Action, act.DelayMs, act.Value)));
        }

        return acts;
    }
}
