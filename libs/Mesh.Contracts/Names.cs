namespace Mesh.Contracts;

/// <summary>Dapr app-ids. Each equals the folder name of its service.</summary>
public static class AppIds
{
    public const string Gateway = "gateway";
    public const string SequenceStore = "sequence-store";
    public const string Retrieval = "retrieval";
    public const string Ranker = "ranker";
    public const string IndexUpdater = "index-updater";
}

/// <summary>Names of the Dapr components that the services use: the same in every components/ set.</summary>
public static class Components
{
    /// <summary>Key-value state and actor state.</summary>
    public const string StateStore = "statestore";

    /// <summary>The broker: one consumer group per app-id.</summary>
    public const string PubSub = "pubsub";

    /// <summary>The same broker, with one consumer group per replica: every replica of retrieval gets every delta.</summary>
    public const string DeltaPubSub = "deltas";

    /// <summary>Output binding that holds index snapshots.</summary>
    public const string Snapshots = "snapshots";
}

/// <summary>Topic names, and with each the message that travels on it.</summary>
public static class Topics
{
    /// <summary><see cref="ItemChange"/></summary>
    public const string Items = "items";

    /// <summary><see cref="Engagement"/></summary>
    public const string Engagements = "engagements";

    /// <summary><see cref="EligibilityChange"/></summary>
    public const string Eligibility = "eligibility";

    /// <summary><see cref="Contracts.Impressions"/></summary>
    public const string Impressions = "impressions";

    /// <summary><see cref="IndexDeltaBatch"/>, on <see cref="Components.DeltaPubSub"/></summary>
    public const string IndexDeltas = "index-deltas";

    /// <summary>New model versions.</summary>
    public const string Models = "models";

    /// <summary>Where messages go that a consumer gave up on: <c>dead-letters</c>.</summary>
    public const string DeadLetters = "dead-letters";
}

/// <summary>Limits that every boundary enforces and docs/limits.md lists.</summary>
public static class Limits
{
    public const int IdLengthMax = 128;
    public const int BatchMax = 1_000;
    public const int BodyBytesMax = 8 * 1024 * 1024;
    public const int TextLengthMax = 5_000;
    public const int TagsMax = 32;
    public const int AttributesMax = 32;
    public const int FeedLimitMax = 200;
    public const int ProfileListMax = 10_000;
}
