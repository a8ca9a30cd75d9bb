namespace Mesh.Inference;

/// <summary>A model package or graph cannot be used as it is. The message names file, value and rule; trying again will not help.</summary>
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
}
