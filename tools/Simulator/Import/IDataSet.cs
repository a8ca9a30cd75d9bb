using Mesh.Simulator.Rest;

namespace Mesh.Simulator.Import;

/// <summary>
/// Something to load: items first, then follows, then events in the order they happened. Each sequence is read once, from
/// one thread, and may be produced while it is read.
/// </summary>
public interface IDataSet
{
    string Name { get; }

    /// <summary>How many items, follows and events there will be; null = not known before reading.</summary>
    int? ItemCount { get; }

    int? FollowCount { get; }

    int? EventCount { get; }

    /// <exception cref="DataException">A file is missing or a line cannot be read.</exception>
    IEnumerable<ItemBody> Items();

    IEnumerable<FollowBody> Follows();

    /// <inheritdoc cref="Items"/>
    IEnumerable<EventBody> Events();
}

/// <summary>A data set cannot be read; the message names the file and the line.</summary>
public sealed class DataException(string message, Exception? inner = null) : Exception(message, inner);
