using System.Text.Json;
using Mesh.Gateway.Problems;

namespace Mesh.Gateway.Input;

/// <summary>
/// One JSON object read field by field; each field of the wrong type is a fault, never an exception. A null counts as
/// absent. Fields that nobody asks for are ignored, so that a newer client may talk to an older gateway.
/// </summary>
internal sealed class JsonRow
{
    private readonly Dictionary<string, JsonElement> _fields = new(StringComparer.Ordinal);

    private JsonRow(Faults faults) => Faults = faults;

    public Faults Faults { get; }

    /// <summary>Opens a row. One that is not an object, or names a field twice, has a fault and nothing else to read.</summary>
    public static JsonRow Open(JsonElement element)
    {
        var row = new JsonRow(new Faults());
        if (element.ValueKind != JsonValueKind.Object)
        {
            row.Faults.Add("$", $"This is {Kind(element)}; an object was expected.");
            return row;
        }

        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (!TryName(property, out string name)) row.Faults.Add("$", "A field's name is not valid Unicode.");
            else if (!row._fields.TryAdd(name, property.Value))
                row.Faults.Add(name.Length > 64 ? "$" : name, $"Field {Shown.Value(name)} is given twice.");
        }

        return row;
    }

    public bool Has(string name) => TryGet(name, out _);

    public string? Text(string name) => TryGet(name, out JsonElement element) ? TextOf(name, element) : null;

    public bool? Boolean(string name)
    {
        if (!TryGet(name, out JsonElement element)) return null;
        if (element.ValueKind is JsonValueKind.True or JsonValueKind.False) return element.GetBoolean();
        Faults.Add(name, $"{name} is {Kind(element)}; true or false was expected.");
        return null;
    }

    public long? Integer(string name)
    {
        if (!TryGet(name, out JsonElement element)) return null;
        if (element.ValueKind == JsonValueKind.Number && element.TryGetInt64(out long value)) return value;
        Faults.Add(name, $"{name} is {Raw(element)}; a whole number was expected.");
        return null;
    }

    /// <summary>A number that float32 can hold: the wire's type. 1e400 is a fault, not infinity.</summary>
    public float? Number(string name)
    {
        if (!TryGet(name, out JsonElement element)) return null;
        if (element.ValueKind == JsonValueKind.Number && element.TryGetSingle(out float value) && float.IsFinite(value)) return value;
        Faults.Add(name, $"{name} is {Raw(element)}; a finite number within +-{float.MaxValue:0.0e0} was expected.");
        return null;
    }

    /// <summary>A moment as Unix milliseconds: a JSON number of them, or an ISO 8601 string (see <see cref="Moment"/>).</summary>
    public long? Time(string name)
    {
        if (!TryGet(name, out JsonElement element)) return null;
        if (element.ValueKind == JsonValueKind.Number && element.TryGetInt64(out long number)) return number;
        if (element.ValueKind == JsonValueKind.String && TextOf(name, element) is { } text)
        {
            if (Moment.TryParse(text, out long parsed)) return parsed;
            Faults.Add(name, $"{name} {Shown.Value(text)} is not a time: {Moment.Rule}.");
        }
        else if (!Faults.Has(name))
        {
            Faults.Add(name, $"{name} is {Raw(element)}, not a time: {Moment.Rule}.");
        }

        return null;
    }

    /// <summary>An array of strings; one longer than <paramref name="countMax"/> is a fault and is not read.</summary>
    public IReadOnlyList<string>? Texts(string name, int countMax)
    {
        if (!TryGet(name, out JsonElement element)) return null;
        if (element.ValueKind != JsonValueKind.Array)
        {
            Faults.Add(name, $"{name} is {Kind(element)}; an array of strings was expected.");
            return null;
        }

        if (element.GetArrayLength() > countMax)
        {
            Faults.Add(name, $"{name} holds {element.GetArrayLength()} values; at most {countMax} are allowed.");
            return null;
        }

        var texts = new List<string>(element.GetArrayLength());
        int index = 0;
        foreach (JsonElement entry in element.EnumerateArray())
        {
            if (TextOf($"{name}[{index++}]", entry) is { } text) texts.Add(text);
        }

        return texts;
    }

    /// <summary>An object whose values are strings; numbers and booleans are taken as they are written.</summary>
    public IReadOnlyDictionary<string, string>? Map(string name, int countMax)
    {
        if (!TryGet(name, out JsonElement element)) return null;
        if (element.ValueKind != JsonValueKind.Object)
        {
            Faults.Add(name, $"{name} is {Kind(element)}; an object was expected.");
            return null;
        }

        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        int count = 0;
        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (++count > countMax)
            {
                Faults.Add(name, $"{name} holds more than {countMax} entries, which is the most allowed.");
                return null;
            }

            AddTo(map, name, property);
        }

        return map;
    }

    private void AddTo(Dictionary<string, string> map, string name, JsonProperty property)
    {
        if (!TryName(property, out string key))
        {
            Faults.Add(name, $"A key of {name} is not valid Unicode.");
            return;
        }

        string? value = property.Value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False
            ? property.Value.GetRawText()
            : TextOf(name, property.Value);
        if (value is not null && !map.TryAdd(key, value)) Faults.Add(name, $"{name} holds {Shown.Value(key)} twice.");
    }

    private string? TextOf(string field, JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.String)
        {
            Faults.Add(field, $"{field} is {Kind(element)}; a string was expected.");
            return null;
        }

        try
        {
            return element.GetString();
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate ("\ud800") or bytes that are not UTF-8: legal to the JSON grammar, not a string.
            Faults.Add(field, $"{field} is not valid Unicode text.");
            return null;
        }
    }

    private bool TryGet(string name, out JsonElement element) =>
        _fields.TryGetValue(name, out element) && element.ValueKind is not JsonValueKind.Null;

    private static bool TryName(JsonProperty property, out string name)
    {
        try
        {
            name = property.Name;
            return true;
        }
        catch (InvalidOperationException)
        {
            name = "";
            return false;
        }
    }

    private static string Raw(JsonElement element) =>
        element.ValueKind == JsonValueKind.Number ? Shown.Value(element.GetRawText()).Trim('\'') : Kind(element);

    private static string Kind(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };
}
