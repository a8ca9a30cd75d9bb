namespace Mesh.Simulator.Rest;

/// <summary>One item of <c>POST /v1/items</c>. Times are Unix milliseconds.</summary>
public sealed record ItemBody
{
    public required string ItemId { get; init; }

    public required string AuthorId { get; init; }

    public required string Text { get; init; }

    public IReadOnlyList<string> Tags { get; init; } = [];

    public long? CreatedAt { get; init; }

    public string? Language { get; init; }

    public long? DurationMs { get; init; }

    public IReadOnlyDictionary<string, string>? Attributes { get; init; }
}

/// <summary>One event of <c>POST /v1/events</c>. The id is derived from what happened, so that sending it again changes nothing.</summary>
public sealed record EventBody
{
    public required string EventId { get; init; }

    public required string UserId { get; init; }

    public required string ItemId { get; init; }

    public required string Action { get; init; }

    /// <summary>When the user did it, in Unix milliseconds.</summary>
    public required long Time { get; init; }

    /// <summary>Seconds for dwell, a rating, ...</summary>
    public float? Value { get; init; }

    public string? RequestId { get; init; }

    public string? Surface { get; init; }
}

/// <summary>One <c>PUT /v1/users/{userId}/follows/{authorId}</c>.</summary>
public sealed record FollowBody(string UserId, string AuthorId);

/// <summary>What the gateway said of a batch.</summary>
/// <param name="Accepted">Rows that are durably with the broker.</param>
/// <param name="Rejected">Rows refused for good, each with its index in the batch and the reasons.</param>
public sealed record BatchAnswer(int Accepted, IReadOnlyList<RejectedRow> Rejected);

public sealed record RejectedRow(int Index, string Reason);
