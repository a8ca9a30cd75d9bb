using System.Globalization;
using Dapr.Actors.Runtime;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Shards;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Writing;

/// <summary>
/// Turns of one shard; the id is the shard's number. It unpacks and delegates. The log lies under plain keys, not in actor
/// state: replicas read it without asking the actor. A reminder, which outlives the process, makes the snapshots and
/// publishes what a crash left unpublished.
/// </summary>
[Actor(TypeName = TypeName)]
internal sealed class IndexShardActor(ActorHost host, ShardWriterFactory writers, IOptions<IndexUpdaterOptions> options) : Actor(host), IIndexShard, IRemindable
{
    public const string TypeName = "IndexShard";

    private const string SnapshotReminder = "snapshot";

    // Made on activation and used in turns only.
    private ShardWriter? _writer;

    private ShardWriter Writer => _writer ?? throw new InvalidOperationException("The shard is not activated.");

    public Task AppendItemsAsync(byte[] changes, CancellationToken cancellation) =>
        Writer.AppendItemsAsync(ItemChanges.Parser.ParseFrom(changes), cancellation);

    public Task AppendCountsAsync(byte[] events, CancellationToken cancellation) =>
        Writer.AppendCountsAsync(CounterEvents.Parser.ParseFrom(events), cancellation);

    public Task AppendEligibilityAsync(byte[] changes, CancellationToken cancellation) =>
        Writer.AppendEligibilityAsync(EligibilityChanges.Parser.ParseFrom(changes), cancellation);

    public Task<string> BeginSnapshotAsync(bool refit, CancellationToken cancellation) => Writer.BeginSnapshotAsync(refit, cancellation);

    public Task ChangeModelAsync(byte[] change, CancellationToken cancellation) => Writer.ChangeModelAsync(ModelChange.Parser.ParseFrom(change), cancellation);

    public async Task<byte[]> FindAsync(string itemId, CancellationToken cancellation) =>
        await Writer.FindAsync(itemId, cancellation) is { } row ? row.ToByteArray() : [];

    public async Task<byte[]> DigestAsync(CancellationToken cancellation) => (await Writer.DigestAsync(cancellation)).ToByteArray();

    public Task ReceiveReminderAsync(string reminderName, byte[] state, TimeSpan dueTime, TimeSpan period) => Writer.TickAsync(CancellationToken.None);

    protected override async Task OnActivateAsync()
    {
        _writer = writers.Create(uint.Parse(Id.GetId(), NumberStyles.None, CultureInfo.InvariantCulture));
        await _writer.OpenAsync(CancellationToken.None);
        await RegisterReminderAsync(
            SnapshotReminder, null, TimeSpan.FromSeconds(options.Value.FirstSnapshotAfterSeconds), TimeSpan.FromSeconds(options.Value.SnapshotPeriodSeconds));
    }

    protected override async Task OnDeactivateAsync()
    {
        if (_writer is not null) await _writer.DisposeAsync();
    }
}
