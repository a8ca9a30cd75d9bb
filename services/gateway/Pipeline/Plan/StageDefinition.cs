namespace Mesh.Gateway.Pipeline.Plan;

/// <summary>What happens to the page when a stage fails or is late.</summary>
internal enum OnFailure
{
    /// <summary>The page is served without the stage, which is named in <c>degraded</c>.</summary>
    ServeWithout,

    /// <summary>The request fails with 503.</summary>
    FailRequest,
}

/// <summary>A stage that lives in another app.</summary>
internal sealed record RemoteTarget(string AppId, string Method);

/// <summary>One stage as the YAML file says.</summary>
/// <param name="Timeout">Most it may take; what the request has left may be less.</param>
/// <param name="Parallel">Runs together with neighbours that are parallel too.</param>
internal sealed record StageDefinition(
    string Name, TimeSpan Timeout, bool Parallel, OnFailure OnFailure, StageParams Params, RemoteTarget? Invoke);

/// <summary>A definition with the code that runs it.</summary>
internal sealed record PlannedStage<TStage>(StageDefinition Definition, TStage Stage) where TStage : IStage;

/// <summary>The pipeline, checked and built: stages by kind, each kind in the order of the file.</summary>
internal sealed record PipelinePlan(
    IReadOnlyList<PlannedStage<IQueryHydrator>> QueryHydrators,
    IReadOnlyList<PlannedStage<IPreparation>> BesideSources,
    IReadOnlyList<PlannedStage<ISource>> Sources,
    IReadOnlyList<PlannedStage<IHydrator>> Hydrators,
    IReadOnlyList<PlannedStage<IFilter>> Filters,
    IReadOnlyList<PlannedStage<ISource>> Refill,
    IReadOnlyList<PlannedStage<IScorer>> Scorers,
    PlannedStage<ISelector> Selector,
    IReadOnlyList<PlannedStage<ISideEffect>> SideEffects)
{
    /// <summary>Names of all stages in the order they run.</summary>
    public IEnumerable<string> StageNames =>
        QueryHydrators.Select(planned => planned.Definition.Name)
            .Concat(BesideSources.Select(planned => planned.Definition.Name))
            .Concat(Sources.Select(planned => planned.Definition.Name))
            .Concat(Hydrators.Select(planned => planned.Definition.Name))
            .Concat(Filters.Select(planned => planned.Definition.Name))
            .Concat(Refill.Select(planned => planned.Definition.Name))
            .Concat(Scorers.Select(planned => planned.Definition.Name))
            .Append(Selector.Definition.Name)
            .Concat(SideEffects.Select(planned => planned.Definition.Name));
}

/// <summary>The pipeline file cannot be used; the message lists every fault with its line.</summary>
internal sealed class PipelineFileException(string file, IReadOnlyList<string> faults)
    : Exception(
        $"{file} has {faults.Count} fault(s):{Environment.NewLine}{string.Join(Environment.NewLine, faults.Select(fault => "  - " + fault))}")
{
    public IReadOnlyList<string> Faults => faults;
}
