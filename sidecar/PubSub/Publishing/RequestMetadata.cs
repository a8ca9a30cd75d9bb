using System.Globalization;
using Mesh.Sidecar.Components;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>Metadata of a publish request: <c>metadata.*</c> query parameters on HTTP, the map on gRPC. Names match in any case.</summary>
internal sealed class RequestMetadata(IEnumerable<KeyValuePair<string, string>> values)
{
    private readonly Dictionary<string, string> _values = Build(values);

    public static RequestMetadata Empty { get; } = new([]);

    public string? this[string name] => _values.TryGetValue(name, out string? value) && value.Length > 0 ? value : null;

    public IReadOnlyDictionary<string, string> All => _values;

    public RequestMetadata OverriddenBy(IEnumerable<KeyValuePair<string, string>> entry) => new(_values.Concat(entry));

    /// <summary>Whether the payload is published as it is, without a CloudEvent around it.</summary>
    /// <exception cref="FormatException">Not a boolean.</exception>
    public bool RawPayload => ParseBool("rawPayload", this["rawPayload"]);

    /// <summary>Time to live from <c>ttlInSeconds</c> or <c>ttl</c>; null where there is none, or none that can be read (as in Dapr).</summary>
    public TimeSpan? TimeToLive
    {
        get
        {
            string? text = this["ttl"] ?? this["ttlInSeconds"];
            if (text is null || !GoDuration.TryParse(text, out TimeSpan ttl)) return null;
            bool seconds = long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number);
            if (seconds && number <= 0) return null;
            return ttl < TimeSpan.Zero ? TimeSpan.Zero : ttl;
        }
    }

    /// <summary>Booleans as Go's strconv.ParseBool takes them; empty = false.</summary>
    public static bool ParseBool(string name, string? value) => value switch
    {
        null or "" => false,
        "1" or "t" or "T" or "true" or "TRUE" or "True" => true,
        "0" or "f" or "F" or "false" or "FALSE" or "False" => false,
        _ => throw new FormatException($"{name} value must be a valid boolean: actual is '{value}'"),
    };

    private static Dictionary<string, string> Build(IEnumerable<KeyValuePair<string, string>> values)
    {
        var built = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach ((string name, string value) in values) built[name] = value;
        return built;
    }
}
