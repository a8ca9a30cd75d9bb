namespace Mesh.Snapshots;

/// <summary>A file of a snapshot is not what it says it is: damaged, cut short, or of another format. Reading it again will not help.</summary>
public sealed class SnapshotFormatException : FormatException
{
    public SnapshotFormatException()
    {
    }

    public SnapshotFormatException(string message) : base(message)
    {
    }

    public SnapshotFormatException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
