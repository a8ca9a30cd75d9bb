using System.ComponentModel.DataAnnotations;
using System.Text.RegularExpressions;
using Mesh.Contracts;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway;

/// <summary>What the gateway may be told. Bound from the <c>Gateway</c> section and checked at start-up.</summary>
public sealed class GatewayOptions
{
    public const string Section = "Gateway";

    /// <summary>Time one feed request may take from first byte read to last stage, in milliseconds. Default 1500, for laptops.</summary>
    [Range(20, 60_000)]
    public int RequestBudgetMs { get; init; } = 1_500;

    /// <summary>Time a write (publish, profile change, erasure) or a single read may take, in milliseconds. Default 10000.</summary>
    [Range(100, 120_000)]
    public int CallTimeoutMs { get; init; } = 10_000;

    /// <summary>Time one service may take to answer <c>GET /v1/system</c> before it counts as down, in milliseconds. Default 1000.</summary>
    [Range(50, 10_000)]
    public int StatusTimeoutMs { get; init; } = 1_000;

    /// <summary>
    /// App ids of retrieval, one for each shard, in the order of the shards: the i-th follows shard i. Empty (the default) is one, "retrieval".
    /// As many as index-updater has shards (IndexUpdater:Shards), 64 at most.
    /// </summary>
    public IReadOnlyList<string> Retrieval { get; init; } = [];

    /// <summary><see cref="Retrieval"/> with the default filled in.</summary>
    internal IReadOnlyList<string> RetrievalApps => Retrieval.Count > 0 ? Retrieval : [AppIds.Retrieval];

    /// <summary>The pipeline's YAML file; a relative path starts at the service's own folder. Default pipeline.yaml.</summary>
    [Required]
    public string PipelineFile { get; init; } = "pipeline.yaml";

    /// <summary>How far in the future an event or an item may be dated, in hours. Default 24: clients' clocks are wrong.</summary>
    [Range(0, 24 * 365)]
    public int FutureHoursMax { get; init; } = 24;

    /// <summary>Keys that clients must send in X-Api-Key. Empty (the default) leaves the API open.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Requests a client (API key, else address) may make a second, on average. 0, the default, is no limit.</summary>
    [Range(0, 1_000_000)]
    public int RateLimitPerSecond { get; init; }

    /// <summary>Requests a client may make at once before the average counts. Default 200.</summary>
    [Range(1, 1_000_000)]
    public int RateLimitBurst { get; init; } = 200;

    /// <summary>Served pages that may wait for their side effects; past it the oldest is dropped and counted. Default 1024.</summary>
    [Range(1, 1_000_000)]
    public int SideEffectsQueuedMax { get; init; } = 1_024;

    /// <summary>Served pages whose side effects run at the same time. Default 2.</summary>
    [Range(1, 64)]
    public int SideEffectWorkers { get; init; } = 2;

    /// <summary>Feature flags. Empty (the default) is one flag, "ranker", with everyone in the arm "transformer": where no model can score,
    /// the ranker falls back by itself and says so.</summary>
    public IReadOnlyList<FlagOptions> Flags { get; init; } = [];
}

/// <summary>One feature flag: users are spread over its arms by a stable hash.</summary>
public sealed class FlagOptions
{
    /// <summary>Name of the flag. The arm of "ranker" goes to the ranker as the scorer to use.</summary>
    public string Name { get; init; } = "";

    /// <summary>The arms with their shares; the shares add up to 100.</summary>
    public IReadOnlyList<ArmOptions> Arms { get; init; } = [];
}

/// <summary>One arm of a flag.</summary>
public sealed class ArmOptions
{
    public string Name { get; init; } = "";

    /// <summary>Share of the users, in percent; two decimals count.</summary>
    public double Percent { get; init; }
}

/// <summary>The rules that span fields; all faults at once.</summary>
internal sealed partial class GatewayOptionsRules : IValidateOptions<GatewayOptions>
{
    private const int RetrievalAppsMax = 64;

    public ValidateOptionsResult Validate(string? name, GatewayOptions options)
    {
        var faults = new List<string>();
        for (int i = 0; i < options.ApiKeys.Count; i++)
        {
            if (options.ApiKeys[i].Length < 16)
                faults.Add($"Gateway:ApiKeys:{i} has {options.ApiKeys[i].Length} characters; a key needs at least 16.");
        }

        CheckRetrieval(options.Retrieval, faults);
        foreach (FlagOptions flag in options.Flags) Check(flag, faults);
        foreach (var group in options.Flags.GroupBy(flag => flag.Name, StringComparer.Ordinal).Where(group => group.Count() > 1))
        {
            faults.Add($"Gateway:Flags holds '{group.Key}' {group.Count()} times; a flag is listed once.");
        }

        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }

    private static void CheckRetrieval(IReadOnlyList<string> apps, List<string> faults)
    {
        if (apps.Count > RetrievalAppsMax) faults.Add($"Gateway:Retrieval names {apps.Count} apps; index-updater has {RetrievalAppsMax} shards at most.");
        for (int i = 0; i < apps.Count; i++)
        {
            if (!AppId().IsMatch(apps[i])) faults.Add($"Gateway:Retrieval:{i} is '{apps[i]}'; an app id has 1-128 letters, digits, '-', '_' and '.'.");
        }

        foreach (var same in apps.GroupBy(app => app, StringComparer.Ordinal).Where(group => group.Count() > 1))
        {
            faults.Add($"Gateway:Retrieval names '{same.Key}' {same.Count()} times; each shard has an app of its own.");
        }
    }

    [GeneratedRegex(@"^[A-Za-z0-9._-]{1,128}\z", RegexOptions.CultureInvariant)]
    private static partial Regex AppId();

    private static void Check(FlagOptions flag, List<string> faults)
    {
        if (string.IsNullOrWhiteSpace(flag.Name)) faults.Add("Gateway:Flags holds a flag without a name.");
        if (flag.Arms.Any(arm => string.IsNullOrWhiteSpace(arm.Name))) faults.Add($"Flag '{flag.Name}' holds an arm without a name.");
        if (flag.Arms.Any(arm => arm.Percent is not (>= 0 and <= 100)))
            faults.Add($"Flag '{flag.Name}' holds an arm whose share is not 0-100 percent.");
        double sum = flag.Arms.Sum(arm => arm.Percent);
        if (Math.Abs(sum - 100) > 0.001) faults.Add($"The arms of flag '{flag.Name}' add up to {sum} percent; they must add up to 100.");
    }
}
