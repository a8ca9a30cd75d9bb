using System.Threading.Channels;
using Mesh.Contracts;
using Mesh.Hosting;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// Brings versions into the <see cref="ModelSet"/>, one at a time: the default before the service listens, those that the topic
/// makes live, and those that a request names. Each is verified and tried before it can serve; one that is refused changes
/// nothing. A version that is not found is not searched for again for a while.
/// </summary>
internal sealed class ModelKeeper(
    ModelSet models, IModelStore store, IOptions<TransformerOptions> options, TimeProvider clock, RankerMetrics metrics, ILogger<ModelKeeper> logger)
    : BackgroundService
{
    // Names that callers made up must not gather.
    private const int MissingMax = 256;

    private readonly TransformerOptions _options = options.Value;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly Channel<string> _wanted = Channel.CreateBounded<string>(new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.Wait });
    private readonly Lock _gate = new();
    private readonly HashSet<string> _searching = new(StringComparer.Ordinal);                    // under _gate
    private readonly Dictionary<string, DateTimeOffset> _missing = new(StringComparer.Ordinal);   // until when not to search, under _gate

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
            if (_missing.TryGetValue(version, out DateTimeOffset until) && clock.GetUtcNow() < until)
            {
                return new Fallback(FallbackKind.UnknownVersion, $"model {version} is not here");
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
            Delivery outcome = Delivery.Drop;
            try
            {
                if (store.Find(version) is { } path) outcome = await TryInstallAsync(path, version, order: null, stoppingToken);
                else Log.VersionMissing(logger, version);
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                // The search goes on for other versions: this one is answered by the heuristic meanwhile.
                Log.SearchFailed(logger, version, exception);
            }
            finally
            {
                lock (_gate)
                {
                    if (outcome != Delivery.Success) RememberMissing(version);
                    _searching.Remove(version);
                }
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
            Log.VersionMissing(logger, change.Version);
            return Delivery.Retry;
        }

        return await TryInstallAsync(path ?? "", change.Version, ModelChangeRules.OrderOf(change), cancellation);
    }

    private async Task<Delivery> TryInstallAsync(string path, string? version, (long TimeMs, uint Tie)? order, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            // Held already where the message came twice, or a request named the version first.
            string held = version is not null && models.Versions.Contains(version) ? version : Install(path, version);
            if (order is { } of && models.TryMakeLive(held, of)) Log.ModelLive(logger, held, path);
            return Delivery.Success;
        }
        catch (ModelRefusedException refused)
        {
            metrics.ModelChanged("refused");
            Log.ModelRefused(logger, version ?? "", path, models.Live, refused.Message); // it says all; the message comes again while the package may come
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

    private void RememberMissing(string version)
    {
        if (_missing.Count >= MissingMax) _missing.Clear();
        _missing[version] = clock.GetUtcNow() + TimeSpan.FromSeconds(_options.LookupIntervalSeconds);
    }
}
