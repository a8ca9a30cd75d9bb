using System.Collections.Concurrent;
using Google.Protobuf;
using Mesh.Gateway.Edge;

namespace Mesh.Gateway.Tests.Fakes;

/// <summary>A broker in memory that can be down, or refuse single messages.</summary>
internal sealed class FakeTopics : IEventTopics
{
    private readonly ConcurrentQueue<(string Topic, IMessage Message)> _published = new();

    public bool IsDown { get; set; }

    /// <summary>Reason to refuse a message for; null takes it.</summary>
    public Func<IMessage, string?> Refuses { get; set; } = _ => null;

    public SemaphoreSlim Published { get; } = new(0);

    /// <summary>What the broker holds of a topic, in order.</summary>
    public IReadOnlyList<T> On<T>(string topic) => [.. _published.Where(entry => entry.Topic == topic).Select(entry => (T)entry.Message)];

    public Task<IReadOnlyDictionary<int, string>> PublishAsync<T>(string topic, IReadOnlyList<T> messages, TimeSpan budget, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        if (IsDown) throw new ServiceUnavailableException($"Nothing was published on {topic}: the broker is down.");
        var refused = new Dictionary<int, string>();
        for (int i = 0; i < messages.Count; i++)
        {
            if (Refuses(messages[i]) is { } reason) refused[i] = reason;
            else _published.Enqueue((topic, messages[i]));
        }

        Published.Release();
        return Task.FromResult<IReadOnlyDictionary<int, string>>(refused);
    }
}
