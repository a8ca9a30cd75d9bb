using System.Globalization;
using System.Text.Json;
using Google.Protobuf;
using Mesh.Hosting;

namespace Mesh.SequenceStore.Tests;

/// <summary>A bulk delivery as a sidecar sends it, and its answer.</summary>
internal static class Deliveries
{
    public static string Body(IEnumerable<IMessage> messages)
    {
        IEnumerable<string> entries = messages.Select((message, i) =>
            $$$"""{"entryId":"{{{i}}}","event":{"specversion":"1.0","data":{{{ProtobufJson.Format(message)}}}}}""");
        return $$"""{"id":"d","entries":[{{string.Join(',', entries)}}]}""";
    }

    /// <summary>The status of each entry, in the order of the delivery.</summary>
    public static string[] Statuses(string answer)
    {
        using JsonDocument document = JsonDocument.Parse(answer);
        return [.. document.RootElement.GetProperty("statuses").EnumerateArray()
            .OrderBy(status => int.Parse(status.GetProperty("entryId").GetString()!, CultureInfo.InvariantCulture))
            .Select(status => status.GetProperty("status").GetString()!)];
    }
}
