using System.Text.Json;

namespace Mesh.Sidecar.Components;

/// <summary>Secrets that component metadata may refer to: a JSON file, or the environment.</summary>
internal sealed class LocalSecrets
{
    private readonly Func<string, string, string?> _find;

    private LocalSecrets(Func<string, string, string?> find) => _find = find;

    /// <summary>Value of a key of a secret; null where there is none. A secret with one value has its own name as key.</summary>
    public string? Find(string name, string key) => _find(name, key);

    public static LocalSecrets Open(ComponentDefinition component, string dataDirectory)
    {
        if (component.Type == ComponentTypes.SecretsLocalEnv)
        {
            string prefix = component.Find("prefix") ?? "";
            return new LocalSecrets((name, key) => name == key ? Environment.GetEnvironmentVariable(prefix + name) : null);
        }

        string file = component.Find("secretsFile") ?? throw component.Invalid("secretsFile", "", "the path of a JSON file");
        string separator = component.Find("nestedSeparator") ?? ":";
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(dataDirectory, file)));
            var flat = new Dictionary<string, string>(StringComparer.Ordinal);
            Flatten(document.RootElement, "", separator, flat);
            // multiValued files nest a secret's keys under its name; in flat ones the nested name is the secret.
            return new LocalSecrets((name, key) => flat.GetValueOrDefault(name == key ? name : name + separator + key));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new ComponentException($"Component {component.Name} ({component.Type}, {component.Source}): {file} cannot be read: {error.Message}", error);
        }
    }

    private static void Flatten(JsonElement element, string path, string separator, Dictionary<string, string> into)
    {
        if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in element.EnumerateObject())
            {
                Flatten(property.Value, path.Length == 0 ? property.Name : path + separator + property.Name, separator, into);
            }

            return;
        }

        into[path] = element.ValueKind == JsonValueKind.String ? element.GetString()! : element.GetRawText();
    }
}
