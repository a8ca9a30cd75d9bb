using System.Diagnostics.Metrics;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;
using Mesh.Numerics;
using Mesh.Snapshots;
using Mesh.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.IndexUpdater.Tests;

/// <summary>A shard over fakes that outlive its writer: dropping the writer and making another is a crash and a restart.</summary>
internal sealed class ShardRig : IAsyncDisposable
{
    public const long EpochMs = 1_800_000_000_000;

    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private ulong _eventNumber;

    /// <param name="over">What is durable of another rig is this one's too.</param>
    public ShardRig(IndexUpdaterOptions? options = null, ShardRig? over = null)
    {
        State = over?.State ?? new MemoryShardState();
        Blobs = over?.Blobs ?? new MemoryBlobs();
        Options = options ?? new IndexUpdaterOptions { CodesPerLevel = 8, CodeLevels = 2 };
        Clock.SetUtcNow(DateTimeOffset.FromUnixTimeMilliseconds(EpochMs));
        Writer = NewWriter();
    }

    public IndexUpdaterOptions Options { get; }

    public MemoryShardState State { get; }

    public MemoryPublisher Publisher { get; } = new();

    public MemoryBlobs Blobs { get; }

    public FakeTimeProvider Clock { get; } = new();

    public FakeModels Models { get; } = new();

    public Logs Logs { get; } = new();

    public ShardWriter Writer { get; private set; }

    public SnapshotReader Snapshots => new(Blobs);

    public DeltaLogReader Log => new(State);

    public ShardWriter NewWriter() => new(0, new ShardDependencies(
        State, Publisher, Blobs, Models, Options, Clock, new IndexUpdaterMetrics(_services.GetRequiredService<IMeterFactory>()), Logs));

    /// <summary>The process is gone with all that it had in memory; another loads what is durable.</summary>
    public async Task RestartAsync()
    {
        await Writer.DisposeAsync();
        Writer = NewWriter();
        await Writer.OpenAsync(default);
    }

    public string NewEventId() => Ulid.NewUlid(Clock.GetUtcNow(), [0, 0, .. BitConverter.GetBytes(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(++_eventNumber))]).ToString();

    public ItemChange Upsert(string id, string text = "some words", long? timeMs = null) => new()
    {
        EventId = NewEventId(),
        TimeMs = timeMs ?? EpochMs,
        Upserted = new Item { ItemId = id, AuthorId = "author", Text = text, CreatedAtMs = timeMs ?? EpochMs, Tags = { "tag" } },
    };

    public ItemChange Delete(string id, long? timeMs = null) => new() { EventId = NewEventId(), TimeMs = timeMs ?? EpochMs, DeletedItemId = id };

    public CounterEvent Count(int counter, long timeMs, params string[] ids) => new()
    {
        Event = StableHash.Compute(NewEventId()), Counter = (uint)counter, TimeMs = timeMs, AcceptedAtMs = timeMs, ItemIds = { ids },
    };

    public EligibilityChange Hide(string id, bool hidden, long timeMs) => new()
    {
        EventId = NewEventId(), TimeMs = timeMs, ItemId = id, Eligibility = new Eligibility { Hidden = hidden }, Fields = { "hidden" },
    };

    public ModelChange ChangeModel(string version, long timeMs) => new() { EventId = NewEventId(), TimeMs = timeMs, Version = version };

    public Task ApplyAsync(params ItemChange[] changes) => Writer.AppendItemsAsync(new ItemChanges { Changes = { changes } }, default);

    public Task ApplyAsync(params CounterEvent[] events) => Writer.AppendCountsAsync(new CounterEvents { Events = { events } }, default);

    public Task ApplyAsync(params EligibilityChange[] changes) => Writer.AppendEligibilityAsync(new EligibilityChanges { Changes = { changes } }, default);

    public async Task<string> SnapshotAsync(bool refit = false)
    {
        string version = await Writer.BeginSnapshotAsync(refit, default);
        await Writer.SnapshotsDoneAsync();
        return version;
    }

    /// <summary>The head as stored.</summary>
    public async Task<IndexLogHead> HeadAsync() => await Log.HeadAsync(0, default) ?? new IndexLogHead();

    /// <summary>Everything the writer has in memory, as text that can be compared.</summary>
    public static string Describe(LoadedShard shard)
    {
        IEnumerable<string> entries = shard.Catalogue.Entries.OrderBy(entry => entry.ItemId, StringComparer.Ordinal).Select(Describe);
        IEnumerable<string> orphans = shard.Catalogue.Orphans;
        return $"items {shard.Catalogue.Items}, model {shard.Model.Version}, fit at {shard.ItemsAtFit}, events {shard.Window.Seen}\n"
            + $"{string.Join('\n', entries)}\norphans {string.Join(',', orphans)}";
    }

    /// <summary>That the live catalogue is what a restart would load: snapshot and log, with nothing only in memory.</summary>
    public async Task<LoadedShard> AssertDurableAsync()
    {
        string live = Describe(Writer.LoadedForTesting!);
        await using ShardWriter other = NewWriter();
        await other.OpenAsync(default);
        Assert.Equal(live, Describe(other.LoadedForTesting!));
        Assert.Empty(other.LoadedForTesting!.StaleRows);
        return other.LoadedForTesting!;
    }

    public async ValueTask DisposeAsync()
    {
        await Writer.DisposeAsync();
        await _services.DisposeAsync();
    }

    private static string Describe(CatalogueEntry entry) =>
        $"{entry.ItemId}: {(entry.IsLive ? entry.ToRow().ToByteString().ToBase64() : "no row")} {entry.ToState()}";
}
