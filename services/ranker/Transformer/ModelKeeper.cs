using System.Threading.Channels;
using Mesh.Contracts;
using Mesh.Hosting;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// Brings versions into the <see cref="ModelSet"/>, one at a time: the default before the service listens, those that the topic
/// makes live, and those that a request names. Each is verified and tried before it can serve; one that is refused changes
/// nothing. A version that is not found is not searched for again for a while, and one that is refused for twice as long each time,
/// until a change names it; the first of each is logged.
/// </summary>
internal sealed class ModelKeeper(
    ModelSet models, IModelStore store, IOptions<TransformerOptions> options, TimeProvider clock, RankerMetrics metrics, ILogger<ModelKeeper> logger)
    : BackgroundService
{
    // Names that callers made up must not gather.
    private const int AbsentMax = 256;
    private const int RefusedSecondsMax = 3_600;

    private readonly TransformerOptions _options = options.Value;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly Channel<string> _wanted = Channel.CreateBounded<string>(new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.Wait });
    private readonly Lock _gate = new();
    private readonly HashSet<string> _searching = new(StringComparer.Ordinal);                    // under _gate
    private readonly Dictionary<string, Absence> _absent = new(StringComparer.Ordinal);           // under _gate

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (store.DefaultPath is { } path) await TryInstallAsync(path, version: null, order: default((long, uint)), cancellationToken);
        else Log.NoModel(logger);
        await base.StartAsync(cancellationToken);
    }

    /// <summary>
    /// Says why a version cannot score now, and has it looked for. The caller does not wait: the heuristic's answer now is worth more
    /// than this version's too late.
    /// </summary>
    public Fallback Seek(string version)
    {
        if (version.Length == 0) return new Fallback(FallbackKind.NoModel, "no model is loaded");
        lock (_gate)
        {
            if (_searching.Contains(version)) return new Fallback(FallbackKind.Loading, $"model {version} is being loaded");
            if (_absent.TryGetValue(version, out Absence? absence) && clock.GetUtcNow() < absence.Until)
            {
                return new Fallback(FallbackKind.UnknownVersion, $"model {version} {(absence.Refusals > 0 ? "was refused" : "is not here")}");
            }

            if (!_wanted.Writer.TryWrite(version))
            {
                return new Fallback(FallbackKind.UnknownVersion, $"model {version} is not here; others are being looked for");
            }

            _searching.Add(version);
            return new Fallback(FallbackKind.Loading, $"model {version} is being looked for");
        }
    }

    /// <summary>Topic `models`. Idempotent: the state it leads to is the same however often it comes, and a later change wins.</summary>
    public async Task<IReadOnlyList<Delivery>> ReceiveAsync(IReadOnlyList<ModelChange> changes, CancellationToken cancellation)
    {
        var deliveries = new Delivery[changes.Count];
        for (int i = 0; i < changes.Count; i++) deliveries[i] = await ReceiveAsync(changes[i], cancellation);
        return deliveries;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (string version in _wanted.Reader.ReadAllAsync(stoppingToken))
        {
            try
            {
                if (store.Find(version) is { } path) await TryInstallAsync(path, version, order: null, stoppingToken);
                else if (RememberAbsent(version, refused: false)) Log.VersionMissing(logger, version);
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                // The search goes on for other versions: this one is answered by the heuristic meanwhile.
                if (RememberAbsent(version, refused: true)) Log.SearchFailed(logger, version, exception);
            }
            finally
            {
                lock (_gate) _searching.Remove(version);
            }
        }
    }

    private async Task<Delivery> ReceiveAsync(ModelChange change, CancellationToken cancellation)
    {
        if (ModelChangeRules.FaultOf(change, clock.GetUtcNow().ToUnixTimeMilliseconds()) is { Length: > 0 } fault)
        {
            Log.ChangeRefused(logger, change.EventId, fault);
            return Delivery.Drop;
        }

        // Without a path every folder of the root is looked at; a version that is held needs none.
        string? path = change.Path.Length > 0 ? change.Path : store.Find(change.Version);
        if (path is null && !models.Versions.Contains(change.Version))
        {
            metrics.ModelChanged("refused");
            if (RememberAbsent(change.Version, refused: false)) Log.VersionMissing(logger, change.Version);
            return Delivery.Retry;
        }

        lock (_gate) _absent.Remove(change.Version); // somebody means it: the package may be another by now
        return await TryInstallAsync(path ?? "", change.Version, ModelChangeRules.OrderOf(change), cancellation);
    }

    private async Task<Delivery> TryInstallAsync(string path, string? version, (long TimeMs, uint Tie)? order, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            // Held already where the message came twice, or a request named the version first.
            string held = version is not null && models.Versions.Contains(version) ? version : Install(path, version);
            lock (_gate) _absent.Remove(held);
            if (order is { } of && models.TryMakeLive(held, of)) Log.ModelLive(logger, held, path);
            return Delivery.Success;
        }
        catch (ModelRefusedException refused)
        {
            metrics.ModelChanged("refused");
            // The message says all: no stack, and not again at each search.
            if (version is null || RememberAbsent(version, refused: !refused.MayCome)) Log.ModelRefused(logger, version ?? "", path, models.Live, refused.Message);
            return refused.MayCome ? Delivery.Retry : Delivery.Drop;
        }
        finally
        {
            _turn.Release();
        }
    }

    private string Install(string path, string? version)
    {
        long started = clock.GetTimestamp();
        IRankModel model = store.Load(path);
        try
        {
            if (version is not null && model.Version != version)
            {
                throw new ModelRefusedException($"{path}/manifest.json says version {model.Version}; {version} was asked for.");
            }

            if (!ModelTrial.Run(model, _options)) Log.BatchesDiffer(logger, model.Version);
        }
        catch
        {
            model.Dispose();
            throw;
        }

        string made = model.Version;
        models.Add(new LoadedModel(model, path, new Breaker(_options.BreakerFailures, TimeSpan.FromSeconds(_options.BreakerSeconds), clock)));
        metrics.ModelChanged("loaded");
        Log.ModelLoaded(logger, made, path, clock.GetElapsedTime(started).TotalMilliseconds);
        return made;
    }

    // A package that is refused costs a load to refuse again; one that is missing, a look into a folder.
    /// <returns>Whether this is the first time, and worth a line in the log.</returns>
    private bool RememberAbsent(string version, bool refused)
    {
        lock (_gate)
        {
            bool known = _absent.TryGetValue(version, out Absence? before);
            if (!known && _absent.Count >= AbsentMax) _absent.Clear();
            int refusals = (before?.Refusals ?? 0) + (refused ? 1 : 0);
            double seconds = _options.LookupIntervalSeconds * Math.Pow(2, refused ? refusals - 1 : 0);
            _absent[version] = new Absence(clock.GetUtcNow() + TimeSpan.FromSeconds(Math.Min(seconds, RefusedSecondsMax)), refusals);
            return !known || (refused && refusals == 1);
        }
    }

    /// <summary>A version that is not there or was refused: until when it is not looked for, and how often it was refused.</summary>
    private sealed record Absence(DateTimeOffset Until, int Refusals);
}
