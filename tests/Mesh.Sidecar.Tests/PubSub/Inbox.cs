using System.Text.Json;

namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>What an app under test has received, in order; tests wait on it.</summary>
internal sealed class Inbox<T>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly Lock _gate = new();
    private readonly List<T> _items = [];
    private readonly List<(int Count, TaskCompletionSource Reached)> _waiting = [];

    public IReadOnlyList<T> Items
    {
        get
        {
            lock (_gate) return [.. _items];
        }
    }

    /// <summary>Adds an item and returns how many there are with it.</summary>
    public int Add(T item)
    {
        TaskCompletionSource[] reached;
        int count;
        lock (_gate)
        {
            _items.Add(item);
            count = _items.Count;
            reached = [.. _waiting.Where(wait => wait.Count <= count).Select(wait => wait.Reached)];
            _waiting.RemoveAll(wait => wait.Count <= count);
        }

        foreach (TaskCompletionSource wait in reached) wait.TrySetResult();
        return count;
    }

    /// <summary>All items once there are at least this many.</summary>
    public async Task<IReadOnlyList<T>> WaitForAsync(int count)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_items.Count >= count) return [.. _items];
            _waiting.Add((count, reached));
        }

        try
        {
            await reached.Task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{count} items were expected, {Items.Count} came within {Patience.TotalSeconds:0} s: {string.Join(", ", Items.Take(10))}");
        }

        return Items;
    }
}

internal static class Subscriptions
{
    /// <summary>The answer to <c>/dapr/subscribe</c>.</summary>
    public static string Json(params object[] subscriptions) => JsonSerializer.Serialize(subscriptions);

    public static object To(string topic, string route) => new { pubsubname = "pubsub", topic, route };
}
