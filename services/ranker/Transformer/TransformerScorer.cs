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

    private const long LogPeriodMs = 10_000;

    private readonly int _actions = ActionTaxonomy.Default.Count;
    private long _quietUntilMs; // interlocked: until when failed runs are not logged again

    /// <summary>Encodes the sequence, or finds it encoded. An empty id where no model can, or not in time.</summary>
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
            await entry.WaitAsync(cutoff);
            return new PrepareResponse { ContextId = entry.Id, ModelVersion = model.Version, Cached = held };
        }
        catch (OperationCanceledException)
        {
            // Without a name the score carries the sequence, and so joins the encoding where it runs by then.
            return new PrepareResponse();
        }
        catch (FallbackException failed)
        {
            Judge(model, failed);
            return new PrepareResponse();
        }
        finally
        {
            model.Return();
        }
    }

    /// <param name="held">The context that the request names in place of a sequence, where it is held here.</param>
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
            ContextEntry? entry = held?.ModelVersion == model.Version ? held.Join() : null;
            if (entry is null && request.SequenceLeftOut()) return new TransformerScores(null, model.Version);
            entry ??= Context(model, request.UserId, request.SequenceVersion, request.Sequence, request.History).Entry;
            return new TransformerScores(await PredictAsync(request, model, entry, cutoff), model.Version);
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
            model.Return();
        }
    }

    private void Judge(LoadedModel model, FallbackException failed)
    {
        if (failed.Fallback.Kind != FallbackKind.Failed || !failed.TryJudge()) return;
        if (model.Breaker.Failed()) Log.BreakerOpened(logger, model.Version, failed);
        else if (MayLog()) Log.RunFailed(logger, model.Version, failed);
    }

    // The counter of fallbacks has them all; the log says what they are, and must not drown in them.
    private bool MayLog()
    {
        long nowMs = clock.GetUtcNow().ToUnixTimeMilliseconds(), quietUntilMs = Volatile.Read(ref _quietUntilMs);
        return nowMs >= quietUntilMs && Interlocked.CompareExchange(ref _quietUntilMs, nowMs + LogPeriodMs, quietUntilMs) == quietUntilMs;
    }

    // The caller is counted among those who wait for it.
    private (ContextEntry Entry, bool Held) Context(
        LoadedModel model, string userId, long sequenceVersion, Sequence? sequence, IReadOnlyList<HistoryItem> history)
    {
        string id = ContextId.Of(userId, sequenceVersion, model.Version, sequence, history);
        (ContextEntry entry, bool held) = contexts.GetOrAdd(id, () =>
        {
            var waiters = new Waiters();
            return new ContextEntry(id, userId, model.Version, sequence, history, batcher.EncodeAsync(model, sequence, history, waiters), waiters);
        });
        return (held ? entry.Join() : entry, held);
    }

    private async Task<float[]> PredictAsync(ScoreRequest request, LoadedModel model, ContextEntry entry, CancellationToken cutoff)
    {
        ContextState context = await entry.WaitAsync(cutoff);
        long nowMs = request.NowMs > 0 ? request.NowMs : clock.GetUtcNow().ToUnixTimeMilliseconds();
        // 0 = the model's own.
        double halfLifeHours = request.CounterHalfLifeHours is >= 0.01 and <= 1e5 ? request.CounterHalfLifeHours : 0;
        var question = new Question(model, entry.Id, context, request.Candidates, new CandidateMoment(nowMs, halfLifeHours, request.Surface), cutoff);
        int[] open = [.. Enumerable.Range(0, request.Candidates.Count)];
        if (open.Length == 0) return [];
        if (!scores.Takes(nowMs)) return await ComputeAsync(question, open);

        // What another request was computing and could not is planned again: one of those who waited computes it, the rest wait for that one.
        var probabilities = new float[open.Length * _actions];
        while (open.Length > 0) open = await FillAsync(question, open, probabilities);
        return probabilities;
    }

    /// <summary>Rows of some candidates, out of the cache, by another request or by a run.</summary>
    /// <returns>Those that another request was to compute and did not.</returns>
    private async Task<int[]> FillAsync(Question question, int[] indexes, float[] probabilities)
    {
        ScorePlan plan;
        Task<float[]>? computing = null;
        using (batcher.Announce())
        {
            plan = scores.Plan(question.ContextId, [.. indexes.Select(index => ScoreKey.Of(question.Candidates[index], question.Moment))]);
            if (plan.Flight is not null) computing = ComputeAsync(question, [.. plan.Mine.Select(place => indexes[place])]);
        }

        float[]? mine = null;
        try
        {
            if (computing is not null) mine = await computing;
        }
        catch (Exception failure) when (plan.Old.Count == plan.Mine.Count && failure is FallbackException or OperationCanceledException)
        {
            // Every row of it is still good: the old ones answer, and the next lucky request refreshes them.
            if (failure is FallbackException failed) Judge(question.Model, failed);
            foreach ((int place, float[] row) in plan.Old) row.CopyTo(probabilities, indexes[place] * _actions);
        }
        finally
        {
            if (plan.Flight is { } flight) scores.Land(question.ContextId, flight, mine);
        }

        for (int place = 0; place < indexes.Length; place++) plan.Hits[place]?.CopyTo(probabilities, indexes[place] * _actions);
        for (int row = 0; mine is not null && row < plan.Mine.Count; row++) CopyRow(mine, row, probabilities, indexes[plan.Mine[row]]);

        var orphans = new List<int>();
        foreach ((int place, ScoreFlight other, int row) in plan.Joined)
        {
            if (await other.Done.WaitAsync(question.Cutoff) is { } rows) CopyRow(rows, row, probabilities, indexes[place]);
            else orphans.Add(indexes[place]);
        }

        return [.. orphans];
    }

    private async Task<float[]> ComputeAsync(Question question, int[] indexes)
    {
        var rows = new CandidateRows(question.Candidates, indexes, question.Moment);
        float[] probabilities = await batcher.ScoreAsync(question.Model, question.Context, rows, question.Cutoff);
        question.Model.Breaker.Succeeded(); // here only: what the cache serves says nothing about the graphs
        return probabilities;
    }

    private void CopyRow(float[] from, int fromRow, float[] to, int toRow) =>
        from.AsSpan(fromRow * _actions, _actions).CopyTo(to.AsSpan(toRow * _actions, _actions));

    /// <summary>One request, as its rounds need it.</summary>
    private sealed record Question(
        LoadedModel Model, string ContextId, ContextState Context, IReadOnlyList<Candidate> Candidates, CandidateMoment Moment, CancellationToken Cutoff);
}
