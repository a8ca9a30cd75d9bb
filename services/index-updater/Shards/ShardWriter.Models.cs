using System.Diagnostics;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;
using Mesh.Inference;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Another model goes live: the head names it as chosen, the catalogue is encoded for it beside the turns, and one snapshot brings
/// rows, codebooks and user tower together. Its adoption makes the model live, in one transaction; until then the model before
/// serves and encodes what comes. A crash loses what was encoded and nothing else: the head still says what was chosen.
/// </summary>
internal sealed partial class ShardWriter
{
    // What changed while the catalogue was encoded is encoded in further passes, until so few are left that the snapshot does them.
    private const int PassesMax = 5;
    private const int LeftForSnapshotMax = 1_000;

    private static readonly TimeSpan ProgressEvery = TimeSpan.FromSeconds(10);

    // Written within a turn.
    private Task _switching = Task.CompletedTask;
    private ModelSwitch? _change; // the one under way, or one that failed and is tried again; null where the model that is wanted is live
    private string? _refusedVersion; // chosen, could not be opened, and said so in the log
    private CancellationTokenSource _switchStopping = new();

    /// <summary>Stores which model shall be live and begins to encode the catalogue for it. An earlier message than the newest changes nothing.</summary>
    /// <exception cref="ModelRejectedException">The model cannot be used; the one before stays chosen.</exception>
    public Task ChangeModelAsync(ModelChange change, CancellationToken cancellation) => InTurnAsync(
        async () =>
        {
            LoadedShard loaded = await EnsureLoadedAsync(cancellation);
            (long timeMs, uint tie) = ModelChangeRules.OrderOf(change);
            var stamp = new Stamp(timeMs, tie);
            if (_log.Head.ChosenModel?.Stamp is { } known && Stamp.Of(known) >= stamp) return;

            IItemEncoder encoder = _with.Models.Open(change.Version, change.Path);
            var choice = new ModelChoice { Version = change.Version, Path = change.Path, Stamp = stamp.ToMessage() };
            await StoreAsync(loaded, NewTurn(loaded, NowMs), head => head.ChosenModel = choice, NowMs, cancellation);
            BeginSwitch(loaded, encoder, isTick: false);
        },
        cancellation);

    /// <summary>Ends when the catalogue is not being encoded for another model.</summary>
    public Task SwitchDoneAsync() => _switching;

    // On a tick: what a crash cut off, what failed, and what the configuration has changed. A message outlasts the configuration.
    private async Task ResumeSwitchAsync(LoadedShard loaded, CancellationToken cancellation)
    {
        ModelChoice? chosen = _log.Head.ChosenModel;
        string byDefault = _with.Models.Default.ModelVersion;
        if (chosen?.Stamp is null && chosen?.Version != byDefault)
        {
            chosen = new ModelChoice { Version = byDefault };
            await StoreAsync(loaded, NewTurn(loaded, NowMs), head => head.ChosenModel = chosen, NowMs, cancellation);
        }

        try
        {
            BeginSwitch(loaded, chosen!.Stamp is null ? _with.Models.Default : _with.Models.Open(chosen.Version, chosen.Path), isTick: true);
            _refusedVersion = null;
        }
        catch (ModelRejectedException exception)
        {
            _with.Metrics.ModelRefused();
            if (_refusedVersion == chosen!.Version) return; // a tick is a minute, and the package may be away for days
            _refusedVersion = chosen.Version;
            Log.ChosenModelRefused(_with.Logger, _shard, chosen.Version, loaded.Model.Version, exception.Message);
        }
    }

    private void BeginSwitch(LoadedShard loaded, IItemEncoder encoder, bool isTick)
    {
        bool isKnown = _change?.Model.Encoder.ModelVersion == encoder.ModelVersion;
        if (isKnown && !_switching.IsCompleted) return;

        _switchStopping.Cancel(); // one to a model that is no longer wanted
        if (!isKnown) _change = null;
        if (loaded.Model.Encoder.ModelVersion == encoder.ModelVersion)
        {
            _change = null;
            return;
        }

        if (isKnown && isTick && !_change!.IsDue()) return;
        ModelSwitch change = _change ??= new ModelSwitch(new ItemModel(encoder));
        Task before = _switching;
        _switchStopping.Dispose();
        _switchStopping = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        CancellationToken cancellation = _switchStopping.Token;
        _switching = Task.Run(
            async () =>
            {
                await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await SwitchAsync(change, cancellation);
            },
            CancellationToken.None);
    }

    private async Task SwitchAsync(ModelSwitch change, CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            CatalogueEntry[] missing = await MissingAsync(change, cancellation);
            Log.ModelSwitchBegun(_with.Logger, _shard, change.Model.Version, missing.Length);
            for (int pass = 0; pass < PassesMax && (pass == 0 || missing.Length > LeftForSnapshotMax); pass++)
            {
                change.Encode(missing, Progress(change.Model.Version), cancellation);
                missing = await MissingAsync(change, cancellation);
            }

            await SnapshotAsync(change, cancellation);
            await InTurnAsync(() => Task.FromResult(_change = _change == change ? null : _change), cancellation);
            _with.Metrics.ModelSwitched(isLive: true);
            Log.ModelSwitched(_with.Logger, _shard, change.Model.Version, change.Done, Stopwatch.GetElapsedTime(started).TotalSeconds);
        }
        catch (Exception exception)
        {
            if (cancellation.IsCancellationRequested) return;
            change.Failed();
            _with.Metrics.ModelSwitched(isLive: false);
            Log.ModelSwitchFailed(_with.Logger, _shard, change.Model.Version, exception);
        }
        finally
        {
            _with.Metrics.RowsToEncode(_shard, 0);
        }
    }

    // Of each step to the metrics, of every ten seconds to the log.
    private Action<int> Progress(string version)
    {
        long noted = Stopwatch.GetTimestamp();
        return left =>
        {
            _with.Metrics.RowsToEncode(_shard, left);
            if (left == 0 || Stopwatch.GetElapsedTime(noted) < ProgressEvery) return;
            noted = Stopwatch.GetTimestamp();
            Log.ModelSwitchProgress(_with.Logger, _shard, version, left);
        };
    }

    private async Task<CatalogueEntry[]> MissingAsync(ModelSwitch change, CancellationToken cancellation)
    {
        CatalogueEntry[] missing = [];
        await InTurnAsync(
            async () =>
            {
                ShardCatalogue catalogue = (await EnsureLoadedAsync(cancellation)).Catalogue;
                change.Forget(itemId => catalogue.Find(itemId) is { IsLive: true });
                missing = change.Missing(catalogue.Entries);
            },
            cancellation);
        return missing;
    }

    // A snapshot of the live model may be on its way: this one is begun when it is done.
    private async Task SnapshotAsync(ModelSwitch change, CancellationToken cancellation)
    {
        for (bool begun = false; !begun;)
        {
            await _making.WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellation.ThrowIfCancellationRequested();
            await InTurnAsync(
                async () =>
                {
                    cancellation.ThrowIfCancellationRequested(); // a message for another model came in a turn before
                    if (!_making.IsCompleted) return;
                    await BeginAsync(refit: false, cancellation, change);
                    begun = true;
                },
                cancellation);
        }

        await _making.WaitAsync(cancellation);
        string live = (await LiveModelAsync(cancellation)).Encoder.ModelVersion;
        if (live != change.Model.Encoder.ModelVersion) throw new InvalidOperationException($"Its snapshot came to nothing; {live} stays live.");
    }

    private async Task<ItemModel> LiveModelAsync(CancellationToken cancellation)
    {
        ItemModel? live = null;
        await InTurnAsync(async () => live = (await EnsureLoadedAsync(cancellation)).Model, cancellation);
        return live!;
    }

    private async Task StopSwitchAsync()
    {
        await _switchStopping.CancelAsync();
        await _switching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _switchStopping.Dispose();
    }
}
