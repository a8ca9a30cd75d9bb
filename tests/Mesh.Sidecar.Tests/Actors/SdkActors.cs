using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Dapr.Actors;
using Dapr.Actors.Client;
using Dapr.Actors.Runtime;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.Sidecar.Tests.Actors;

public sealed record Parcel(string Name, int[] Weights);

/// <summary>An actor as services write them, with the official SDK.</summary>
public interface ICounter : IActor
{
    Task<int> AddAsync(int amount);

    Task<Parcel> WrapAsync(Parcel parcel);

    Task FailAsync(string reason);

    Task<bool> RemindAsync(string name);

    Task StartTimerAsync(string name);
}

public sealed class Counter(ActorHost host, CounterLog log) : Actor(host), ICounter, IRemindable
{
    public async Task<int> AddAsync(int amount)
    {
        int total = await StateManager.GetOrAddStateAsync("total", 0) + amount;
        await StateManager.SetStateAsync("total", total);
        return total;
    }

    public Task<Parcel> WrapAsync(Parcel parcel) => Task.FromResult(parcel with { Name = $"<{parcel.Name}>" });

    public Task FailAsync(string reason) => throw new InvalidOperationException(reason);

    public async Task<bool> RemindAsync(string name)
    {
        await RegisterReminderAsync(name, Encoding.UTF8.GetBytes("payload"), TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(50));
        return await GetReminderAsync(name) is { Name.Length: > 0 };
    }

    public Task StartTimerAsync(string name) =>
        RegisterTimerAsync(name, nameof(OnTimerAsync), "tick"u8.ToArray(), TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(-1));

    public async Task ReceiveReminderAsync(string reminderName, byte[] state, TimeSpan dueTime, TimeSpan period)
    {
        log.Entries.Enqueue($"reminder {Id} {reminderName} {Encoding.UTF8.GetString(state)}");
        if (log.Entries.Count(entry => entry.StartsWith($"reminder {Id} {reminderName}", StringComparison.Ordinal)) == 2) await UnregisterReminderAsync(reminderName);
    }

    public Task OnTimerAsync(byte[] data)
    {
        log.Entries.Enqueue($"timer {Id} {Encoding.UTF8.GetString(data)}");
        return Task.CompletedTask;
    }

    protected override Task OnActivateAsync()
    {
        log.Entries.Enqueue($"activated {Id}");
        return Task.CompletedTask;
    }

    protected override Task OnDeactivateAsync()
    {
        log.Entries.Enqueue($"deactivated {Id}");
        return Task.CompletedTask;
    }
}

/// <summary>What the actors of one app did.</summary>
public sealed class CounterLog
{
    public ConcurrentQueue<string> Entries { get; } = new();

    public int Count(string entry) => Entries.Count(one => one == entry);
}

/// <summary>An app with <see cref="Counter"/> behind a sidecar, and proxies that call through that sidecar.</summary>
public sealed class SdkActorApp : IAsyncDisposable
{
    private readonly SidecarHarness _harness;

    private SdkActorApp(SidecarHarness harness, CounterLog log)
    {
        _harness = harness;
        Log = log;
    }

    public CounterLog Log { get; }

    public SidecarHarness Harness => _harness;

    private ActorProxyOptions Options => new() { HttpEndpoint = _harness.Main.HttpEndpoint, UseJsonSerialization = true };

    public static async Task<SdkActorApp> StartAsync(Action<ActorRuntimeOptions>? configure = null)
    {
        var log = new CounterLog();
        int sidecarPort = FreePort(); // the SDK wants to know it before the app starts, and the sidecar starts after its app
        SidecarHarness harness = await SidecarHarness.StartAsync(
            SidecarHarness.InMemoryState,
            app => app.MapActorsHandlers(),
            builder =>
            {
                builder.Services.AddSingleton(log);
                builder.Services.AddActors(options =>
                {
                    options.HttpEndpoint = $"http://127.0.0.1:{sidecarPort}";
                    options.UseJsonSerialization = true;
                    options.Actors.RegisterActor<Counter>();
                    configure?.Invoke(options);
                });
            },
            configure: options => options with { HttpPort = sidecarPort },
            flags: ["--dapr-http-port", sidecarPort.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        return new SdkActorApp(harness, log);
    }

    public ActorProxy Weak(string id) => ActorProxy.Create(new ActorId(id), nameof(Counter), Options);

    public ICounter Typed(string id) => ActorProxy.Create<ICounter>(new ActorId(id), nameof(Counter), Options);

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
