namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>One event as a caller of the publish API gave it.</summary>
/// <param name="EntryId">Within a bulk; empty for a single publish.</param>
/// <param name="Metadata">Of the request, overridden by that of the entry.</param>
internal sealed record PublishEntry(string EntryId, ReadOnlyMemory<byte> Data, string ContentType, RequestMetadata Metadata);

/// <summary>W3C trace context that the event carries on.</summary>
internal readonly record struct TraceContext(string TraceParent, string TraceState);
