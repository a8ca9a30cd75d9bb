using Google.Protobuf;

namespace Mesh.SequenceStore.Storage;

/// <summary>Reading protobuf values out of a bulk answer.</summary>
internal static class StoredMessages
{
    /// <summary>The message under a key; an empty one where the key has no value.</summary>
    public static T Read<T>(this IReadOnlyDictionary<string, byte[]> values, string key) where T : IMessage<T>, new()
    {
        var message = new T();
        if (values.TryGetValue(key, out byte[]? bytes)) message.MergeFrom(bytes);
        return message;
    }

    /// <summary>Bytes to store. The state API cannot tell an empty value from none, so an empty message is a delete.</summary>
    public static byte[]? ToState(this IMessage message) => message.CalculateSize() == 0 ? null : message.ToByteArray();
}
