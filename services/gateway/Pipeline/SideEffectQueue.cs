using System.Threading.Channels;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Pipeline;

/// <summary>
/// Served pages waiting for their side effects. Bounded: under pressure the oldest page is dropped and counted, so the
/// feed never waits and memory never grows. What is lost when the gateway is killed is impressions and request-log rows of
/// the last pages: nothing that was acknowledged to anyone, and the cursor keeps "load more" from repeating them.
/// </summary>
internal sealed class SideEffectQueue : BackgroundService
{
    private readonly Channel<FeedSlate> _slates;
    private readonly PipelinePlan _plan;
    private readonly GatewayMetrics _metrics;
    private readonly TimeProvider _clock;
    private readonly ILogger<SideEffectQueue> _logger;
    private readonly int _workers;

    public SideEffectQueue(
        PipelinePlan plan, GatewayMetrics metrics, TimeProvider clock, IOptions<GatewayOptions> options, ILogger<SideEffectQueue> logger)
    {
        _plan = plan;
        _metrics = metrics;
        _clock = clock;
        _logger = logger;
        _workers = options.Value.SideEffectWorkers;
        _slates = Channel.CreateBounded<FeedSlate>(
            new BoundedChannelOptions(options.Value.SideEffectsQueuedMax) { FullMode = BoundedChannelFullMode.DropOldest },
            _ => metrics.SideEffectsDropped());
    }

    public void Enqueue(FeedSlate slate)
    {
        if (!_slates.Writer.TryWrite(slate)) _metrics.SideEffectsDropped(); // only once the gateway is stopping
    }

    /// <summary>Takes no more pages, and runs those that wait for as long as the shutdown allows.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _slates.Writer.TryComplete();
        if (ExecuteTask is { } workers) await Task.WhenAny(workers, Task.Delay(Timeout.Infinite, cancellationToken));
        await base.StopAsync(cancellationToken);
        int left = _slates.Reader.Count;
        if (left > 0) Log.SideEffectsLost(_logger, left);
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(Enumerable.Range(0, _workers).Select(_ => DrainAsync(stoppingToken)));

    private async Task DrainAsync(CancellationToken stopping)
    {
        await foreach (FeedSlate slate in _slates.Reader.ReadAllAsync(stopping))
        {
            foreach (PlannedStage<ISideEffect> planned in _plan.SideEffects) await RunAsync(planned, slate, stopping);
        }
    }

    private async Task RunAsync(PlannedStage<ISideEffect> planned, FeedSlate slate, CancellationToken stopping)
    {
        string stage = planned.Definition.Name;
        long started = _clock.GetTimestamp();
        using var timeout = new CancellationTokenSource(planned.Definition.Timeout, _clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, stopping);
        try
        {
            await planned.Stage.RunAsync(slate, new StageCall(planned.Definition.Timeout, linked.Token)).WaitAsync(linked.Token);
            _metrics.StageRan(stage, _clock.GetElapsedTime(started), slate.Selected.Count, 0);
        }
        catch (Exception failure) when (!stopping.IsCancellationRequested)
        {
            // One page's impressions must not stop those of the next: counted, and on.
            _metrics.SideEffectFailed(stage);
            Log.SideEffectFailed(_logger, stage, slate.Query.RequestId, timeout.IsCancellationRequested ? "late" : failure.Message);
        }
    }
}
