using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Filters;
using Mesh.Gateway.Pipeline.Hydrators;
using Mesh.Gateway.Pipeline.Preparations;
using Mesh.Gateway.Pipeline.Remote;
using Mesh.Gateway.Pipeline.Scorers;
using Mesh.Gateway.Pipeline.Selectors;
using Mesh.Gateway.Pipeline.SideEffects;
using Mesh.Gateway.Pipeline.Sources;

namespace Mesh.Gateway.Pipeline.Plan;

/// <summary>The stages that this gateway brings, by name, and how a plan is built of them. A new stage is one line here and one file.</summary>
internal sealed class StageCatalog(IMeshServices services, IEventTopics topics, RememberedTrending remembered, GatewayMetrics metrics)
{
    private readonly Dictionary<string, Func<StageParams, IQueryHydrator>> _queryHydrators = new(StringComparer.Ordinal)
    {
        ["user-context"] = options => new UserContextHydrator(services, options),
    };

    private readonly Dictionary<string, Func<StageParams, IPreparation>> _preparations = new(StringComparer.Ordinal)
    {
        ["ranker-context"] = options => new RankerContextPreparation(services, options),
    };

    private readonly Dictionary<string, Func<StageParams, ISource>> _sources = new(StringComparer.Ordinal)
    {
        ["retrieval"] = options => new RetrievalSource(services, remembered, options),
        ["trending-refill"] = options => new TrendingRefillSource(services, options),
        ["remembered-trending"] = _ => new RememberedTrendingSource(remembered),
    };

    private readonly Dictionary<string, Func<StageParams, IHydrator>> _hydrators = new(StringComparer.Ordinal)
    {
        ["in-network"] = _ => new InNetworkHydrator(),
    };

    private readonly Dictionary<string, Func<StageParams, IFilter>> _filters = new(StringComparer.Ordinal)
    {
        ["duplicate"] = _ => new DuplicateFilter(),
        ["core-data"] = _ => new CoreDataFilter(),
        ["age"] = options => new AgeFilter(options),
        ["own"] = _ => new OwnFilter(),
        ["muted-authors"] = _ => new MutedAuthorsFilter(),
        ["blocked-authors"] = _ => new BlockedAuthorsFilter(),
        ["not-interested"] = _ => new NotInterestedFilter(),
        ["seen"] = _ => new SeenFilter(),
        ["served"] = _ => new ServedFilter(),
        ["eligibility"] = options => new EligibilityFilter(options),
        ["muted-words"] = _ => new MutedWordsFilter(),
    };

    private readonly Dictionary<string, Func<StageParams, IScorer>> _scorers = new(StringComparer.Ordinal)
    {
        ["ranker"] = _ => new RankerScorer(services, metrics),
        ["fallback-order"] = options => new FallbackOrderScorer(options),
        ["author-diversity"] = options => new AuthorDiversityScorer(options),
        ["out-of-network"] = options => new OutOfNetworkScorer(options),
    };

    private readonly Dictionary<string, Func<StageParams, ISelector>> _selectors = new(StringComparer.Ordinal)
    {
        ["top"] = options => new TopSelector(options),
    };

    private readonly Dictionary<string, Func<StageParams, ISideEffect>> _sideEffects = new(StringComparer.Ordinal)
    {
        ["impressions"] = _ => new ImpressionsSideEffect(topics),
        ["request-log"] = options => new RequestLogSideEffect(services, options),
    };

    /// <exception cref="PipelineFileException">Lists every fault of the file.</exception>
    public PipelinePlan Build(PipelineFile file)
    {
        // Stages are built before the faults are looked at: building them is what checks their params.
        var queryHydrators = Plan(file, "query_hydrators", _queryHydrators, null);
        var besideSources = Plan(file, "beside_sources", _preparations, null);
        var sources = Plan(file, "sources", _sources, stage => new RemoteSource(services, stage));
        var hydrators = Plan(file, "hydrators", _hydrators, null);
        var filters = Plan(file, "filters", _filters, stage => new RemoteFilter(services, stage));
        var refill = Plan(file, "refill", _sources, stage => new RemoteSource(services, stage));
        var scorers = Plan(file, "scorers", _scorers, stage => new RemoteScorer(services, stage));
        var selector = Plan(file, "selector", _selectors, null);
        var sideEffects = Plan(file, "side_effects", _sideEffects, stage => new RemoteSideEffect(services, stage));
        return file.Faults.Count == 0
            ? new PipelinePlan(queryHydrators, besideSources, sources, hydrators, filters, refill, scorers, selector[0], sideEffects)
            : throw new PipelineFileException(file.File, file.Faults);
    }

    private static List<PlannedStage<TStage>> Plan<TStage>(
        PipelineFile file, string section, Dictionary<string, Func<StageParams, TStage>> local, Func<StageDefinition, TStage>? remote) where TStage : IStage
    {
        var planned = new List<PlannedStage<TStage>>();
        foreach (StageDefinition stage in file[section])
        {
            if (stage.Invoke is not null)
            {
                if (local.ContainsKey(stage.Name))
                    file.Faults.Add($"{section}/{stage.Name}: that name is a stage of the gateway; a stage in another app needs its own");
                else if (remote is not null) planned.Add(new PlannedStage<TStage>(stage, remote(stage)));
            }
            else if (local.TryGetValue(stage.Name, out Func<StageParams, TStage>? make))
            {
                planned.Add(new PlannedStage<TStage>(stage, make(stage.Params)));
                foreach (string name in stage.Params.Unread()) file.Faults.Add($"{section}/{stage.Name}: it has no param '{name}'");
            }
            else if (stage.Name.Length > 0)
            {
                file.Faults.Add(
                    $"{section}/{stage.Name}: no such stage; the gateway has {string.Join(", ", local.Keys)}. A stage in another app needs invoke");
            }
        }

        return planned;
    }
}
