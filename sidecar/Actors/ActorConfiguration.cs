using System.Text.Json;
using Mesh.Sidecar.Components;

namespace Mesh.Sidecar.Actors;

/// <summary>What keeps the memory of one sidecar's actors bounded.</summary>
internal static class ActorLimits
{
    /// <summary>Calls that may wait for one actor.</summary>
    public const int WaitingMax = 1_024;

    /// <summary>Active actors past which the longest idle are deactivated.</summary>
    public const int ActiveMax = 100_000;

    /// <summary>Reminders of one sidecar: about 200 bytes of memory each.</summary>
    public const int RemindersMax = 1_000_000;

    /// <summary>Timers of one sidecar, whose data is held in memory.</summary>
    public const int TimersMax = 100_000;

    /// <summary>Largest answer of an actor method, in bytes: it is held until the turn has ended.</summary>
    public const int AnswerBytesMax = 64 * 1024 * 1024;

    /// <summary>Reminders and timers in their calls at one time.</summary>
    public const int FiringMax = 64;
}

/// <summary>How actors of one type are run.</summary>
/// <param name="IdleTimeout">Deactivate after so long without a turn. Default 60 minutes.</param>
/// <param name="DrainTimeout">How long a turn that nobody waits for any more may still run. Default 60 seconds.</param>
internal sealed record ActorTypeOptions(TimeSpan IdleTimeout, TimeSpan DrainTimeout, bool DrainRebalanced)
{
    public static readonly ActorTypeOptions Default = new(TimeSpan.FromMinutes(60), TimeSpan.FromSeconds(60), true);
}

/// <summary>The app's answer to <c>GET /dapr/config</c>: the actor types it hosts, and how they are run.</summary>
/// <param name="ScanInterval">How often idle actors are looked for. Default 30 seconds.</param>
/// <param name="WantsReentrancy">The app asks for reentrancy, which this sidecar does not have.</param>
internal sealed record ActorConfiguration(IReadOnlyDictionary<string, ActorTypeOptions> Types, TimeSpan ScanInterval, bool WantsReentrancy)
{
    public static readonly ActorConfiguration None = new(new Dictionary<string, ActorTypeOptions>(), TimeSpan.FromSeconds(30), false);

    /// <exception cref="JsonException">The body is not such a document.</exception>
    public static ActorConfiguration Parse(ReadOnlyMemory<byte> json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new JsonException("GET /dapr/config did not answer with an object.");

        ActorTypeOptions common = Options(root, ActorTypeOptions.Default);
        var types = new Dictionary<string, ActorTypeOptions>(StringComparer.Ordinal);
        foreach (string type in Entities(root)) types[type] = common;

        bool wantsReentrancy = Reentrancy(root);
        if (root.TryGetProperty("entitiesConfig", out JsonElement special) && special.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement entry in special.EnumerateArray())
            {
                wantsReentrancy |= Reentrancy(entry);
                foreach (string type in Entities(entry).Where(types.ContainsKey)) types[type] = Options(entry, common);
            }
        }

        TimeSpan scan = Duration(root, "actorScanInterval", None.ScanInterval);
        return new ActorConfiguration(types, scan > TimeSpan.Zero ? scan : None.ScanInterval, wantsReentrancy);
    }

    private static IEnumerable<string> Entities(JsonElement owner) =>
        owner.TryGetProperty("entities", out JsonElement names) && names.ValueKind == JsonValueKind.Array
            ? [.. names.EnumerateArray().Select(name => name.GetString() ?? throw new JsonException("entities holds a null."))]
            : [];

    private static ActorTypeOptions Options(JsonElement owner, ActorTypeOptions otherwise) => new(
        Duration(owner, "actorIdleTimeout", otherwise.IdleTimeout),
        Duration(owner, "drainOngoingCallTimeout", otherwise.DrainTimeout),
        owner.TryGetProperty("drainRebalancedActors", out JsonElement drain) ? drain.ValueKind == JsonValueKind.True : otherwise.DrainRebalanced);

    // As in daprd, a duration that cannot be read counts as not given.
    private static TimeSpan Duration(JsonElement owner, string name, TimeSpan otherwise) =>
        owner.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
        && GoDuration.TryParse(value.GetString()!, out TimeSpan duration) && duration > TimeSpan.Zero
            ? duration
            : otherwise;

    private static bool Reentrancy(JsonElement owner) =>
        owner.TryGetProperty("reentrancy", out JsonElement reentrancy) && reentrancy.ValueKind == JsonValueKind.Object
        && reentrancy.TryGetProperty("enabled", out JsonElement enabled) && enabled.ValueKind == JsonValueKind.True;
}
