namespace Mesh.Inference;

/// <summary>A model package or graph cannot be used as it is. The message names file, value and rule.</summary>
public sealed class ModelRejectedException : Exception
{
    public ModelRejectedException()
    {
    }

    public ModelRejectedException(string message) : base(message)
    {
    }

    public ModelRejectedException(string message, Exception innerException) : base(message, innerException)
    {
    }

    /// <summary>It is not there (yet): worth another try. Anything else is as wrong the next time.</summary>
    public bool MayCome { get; init; }

    // What goes wrong while a model is read and tried is the model's fault, whatever it is: a graph may fail its run in as many ways as
    // there are operators. Not so where the caller has stopped, the process ends, or memory has run out.
    internal static bool IsOfModel(Exception exception) => exception is not (OperationCanceledException or ObjectDisposedException or OutOfMemoryException);
}
