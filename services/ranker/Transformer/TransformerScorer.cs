using Mesh.Contracts;
using Mesh.Ranker.Scoring;

namespace Mesh.Ranker.Transformer;

/// <summary>What the transformer made of a request: probabilities (row-major, candidates x 14), or nothing because the context is not here.</summary>
internal readonly record struct TransformerScores(float[]? Probabilities, string ModelVersion)
{
    public bool ContextMissing => Probabilities is null;
}

/// <summary>
/// Scores with the version that the request names: the context is found or encoded, once for whoever needs it; each candidate
/// comes from the score cache or from a batch. Everything that can go wrong here ends as a <see cref="FallbackException"/>.
/// </summary>
internal sealed class TransformerScorer(
    ModelSet models, ModelKeeper keeper, ContextCache contexts, ScoreCache scores, CandidateBatcher batcher, TimeProvider clock,
    ILogger<TransformerScorer> logger)
{
    public const string ArmName = "transformer";

    private readonly int _actions = ActionTaxonomy.Default.Count;

    /// <summary>Encodes the sequence, or finds it encoded. An empty id where no model can.</summary>
    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, CancellationToken cutoff)
    {
        LoadedModel? model = models.TryAcquire(request.ModelVersion);
        if (model is null)
        {
            keeper.Seek(request.ModelVersion);
            return new PrepareResponse();
        }

        try
        {
            // The probe of an open breaker is left to the score: it runs both graphs.
            if (model.Breaker.IsOpen) return new PrepareResponse();
            (ContextEntry entry, bool held) = Context(model, request.UserId, request.SequenceVersion, request.Sequence, request.History);
            var response = new PrepareResponse { ContextId = entry.Id, ModelVersion = model.Version, Cached = held };
            try
            {
                await entry.State.WaitAsync(cutoff);
            }
            catch (OperationCanceledException)
            {
                // The encoding is on its way all the same, and the score that names it finds it.
            }

            return response;
        }
        catch (FallbackException failed)
        {
            Judge(model, failed);
            return new PrepareResponse();
        }
        finally
        {
            model.Release();
        }
    }

    /// <param name="held">The context that the request names, where it is held here.</param>
    /// <param name="cutoff">When the heuristic must begin.</param>
    /// <exception cref="FallbackException">Somebody else must score.</exception>
    /// <exception cref="OperationCanceledException">The caller left.</exception>
    public async Task<TransformerScores> ScoreAsync(ScoreRequest request, ContextEntry? held, CancellationToken cutoff, CancellationToken cancellation)
    {
        string version = request.ModelVersion.Length > 0 ? request.ModelVersion : held?.ModelVersion ?? "";
        LoadedModel? model = models.TryAcquire(version);
        if (model is null) throw new FallbackException(keeper.Seek(version));
        try
        {
            if (!model.Breaker.TryPass()) throw new FallbackException(new Fallback(FallbackKind.BreakerOpen, $"model {model.Version} failed repeatedly"));
            ContextEntry? entry = held?.ModelVersion == model.Version ? held : null;
            if (entry is null && request.SequenceLeftOut()) return new TransformerScores(null, model.Version);
            entry ??= Context(model, request.UserId, request.SequenceVersion, request.Sequence, request.History).Entry;
            float[] probabilities = await PredictAsync(request, model, entry, cutoff);
            model.Breaker.Succeeded();
            return new TransformerScores(probabilities, model.Version);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new FallbackException(new Fallback(FallbackKind.Late, "the caller's time was almost spent"));
        }
        catch (FallbackException failed)
        {
            Judge(model, failed);
            throw;
        }
        finally
        {
            model.Release();
        }
    }

    private void Judge(LoadedModel model, FallbackException failed)
    {
        if (failed.Fallback.Kind == FallbackKind.Failed && model.Breaker.Failed()) Log.BreakerOpened(logger, model.Version, failed);
    }

    private (ContextEntry Entry, bool Held) Context(
        LoadedModel model, string userId, long sequenceVersion, Sequence? sequence, IReadOnlyList<HistoryItem> history)
    {
        string id = ContextId.Of(userId, sequenceVersion, model.Version, sequence, history);
        return contexts.GetOrAdd(id, () => new ContextEntry(id, userId, model.Version, sequence, history, batcher.EncodeAsync(model, sequence, history)));
    }

    private async Task<float[]> PredictAsync(ScoreRequest request, LoadedModel model, ContextEntry entry, CancellationToken cutoff)
    {
        ContextState context = await entry.State.WaitAsync(cutoff);
        long nowMs = request.NowMs > 0 ? request.NowMs : clock.GetUtcNow().ToUnixTimeMilliseconds();
        // 0 = the model's own.
        double halfLifeHours = request.CounterHalfLifeHours is >= 0.01 and <= 1e5 ? request.CounterHalfLifeHours : 0;
        var moment = new CandidateMoment(nowMs, halfLifeHours, request.Surface);
        if (!scores.Takes(nowMs)) return await ComputeAsync([.. Enumerable.Range(0, request.Candidates.Count)]);

        ScorePlan plan;
        Task<float[]>? computing = null;
        using (batcher.Announce())
        {
            plan = scores.Plan(entry.Id, [.. request.Candidates.Select(candidate => ScoreKey.Of(candidate, moment))]);
            if (plan.Flight is not null) computing = ComputeAsync(plan.Mine);
        }

        float[]? mine = null;
        try
        {
            if (computing is not null) mine = await computing;
        }
        finally
        {
            if (plan.Flight is { } flight) scores.Land(entry.Id, flight, mine);
        }

        var probabilities = new float[plan.Hits.Length * _actions];
        for (int i = 0; i < plan.Hits.Length; i++) plan.Hits[i]?.CopyTo(probabilities, i * _actions);
        for (int row = 0; row < plan.Mine.Count; row++) CopyRow(mine!, row, probabilities, plan.Mine[row]);

        // What another request was computing and could not, this one computes for itself.
        var orphans = new List<int>();
        foreach ((int index, ScoreFlight other, int row) in plan.Joined)
        {
            if (await other.Done.WaitAsync(cutoff) is { } rows) CopyRow(rows, row, probabilities, index);
            else orphans.Add(index);
        }

        if (orphans.Count > 0)
        {
            float[] rows = await ComputeAsync(orphans);
            for (int row = 0; row < orphans.Count; row++) CopyRow(rows, row, probabilities, orphans[row]);
        }

        return probabilities;

        Task<float[]> ComputeAsync(IReadOnlyList<int> indexes) =>
            batcher.ScoreAsync(model, context, new CandidateRows(request.Candidates, indexes, moment), cutoff);
    }

    private void CopyRow(float[] from, int fromRow, float[] to, int toRow) =>
        from.AsSpan(fromRow * _actions, _actions).CopyTo(to.AsSpan(toRow * _actions, _actions));
}
