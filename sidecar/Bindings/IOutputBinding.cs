namespace Mesh.Sidecar.Bindings;

/// <summary>What an output binding is asked to do.</summary>
public sealed record BindingRequest(string Operation, ReadOnlyMemory<byte> Data, IReadOnlyDictionary<string, string> Metadata);

/// <summary>What it answers; metadata travels as response headers.</summary>
public sealed record BindingResponse(ReadOnlyMemory<byte> Data, IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>The binding could not do it. The message reaches the caller.</summary>
public sealed class BindingException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>An output binding. Thread-safe.</summary>
public interface IOutputBinding
{
    IReadOnlyList<string> Operations { get; }

    /// <summary>Does one of <see cref="Operations"/>; null where there is nothing to answer.</summary>
    /// <exception cref="BindingException">It could not.</exception>
    Task<BindingResponse?> InvokeAsync(BindingRequest request, CancellationToken cancellation);
}
