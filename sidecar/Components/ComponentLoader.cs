using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Mesh.Sidecar.Components;

/// <summary>Who asks for components: decides scopes and fills the templates in metadata values.</summary>
/// <param name="Namespace">Namespace of the app; null = none is set, so documents of every namespace count.</param>
public sealed record ComponentReader(string AppId, string? Namespace, string? PodName, string DataDirectory);

/// <summary>
/// Turns Component documents into definitions: scopes, then secrets, environment references and templates. Secret
/// stores are resolved first, as the others may refer to them.
/// </summary>
public sealed class ComponentLoader(ComponentReader reader)
{
    private readonly Dictionary<string, LocalSecrets> _secrets = new(StringComparer.Ordinal);
    private readonly List<(ComponentDefinition Component, string Reason)> _ignored = [];

    /// <summary>Components left out because they cannot be used and say <c>ignoreErrors</c>.</summary>
    public IReadOnlyList<(ComponentDefinition Component, string Reason)> Ignored => _ignored;

    /// <summary>The components that the app sees, in file order.</summary>
    /// <exception cref="ComponentException">A document is incomplete, a name is taken twice, a reference leads nowhere, or a
    /// type is not implemented here.</exception>
    public IReadOnlyList<ComponentDefinition> Load(ResourceFiles files)
    {
        ArgumentNullException.ThrowIfNull(files);
        List<ResourceDocument> documents =
        [
            .. files.OfKind("Component")
                .Where(document => document.IsVisibleTo(reader.AppId))
                .Where(document => reader.Namespace is null || document.Namespace.Length == 0 || document.Namespace == reader.Namespace),
        ];
        RejectDuplicates(documents);

        var definitions = new Dictionary<ResourceDocument, ComponentDefinition>();
        foreach (ResourceDocument document in documents.Where(IsSecretStore).Concat(documents.Where(document => !IsSecretStore(document))))
        {
            ComponentDefinition definition = Read(document);
            try
            {
                ComponentTypes.Require(definition);
                if (IsSecretStore(document)) _secrets[definition.Name] = LocalSecrets.Open(definition, reader.DataDirectory);
                definitions[document] = definition;
            }
            catch (ComponentException error) when (definition.IgnoreErrors)
            {
                _ignored.Add((definition, error.Message));
            }
        }

        return [.. documents.Where(definitions.ContainsKey).Select(document => definitions[document])];
    }

    private static bool IsSecretStore(ResourceDocument document) =>
        document.Spec?.FindText("type")?.StartsWith("secretstores.", StringComparison.Ordinal) ?? false;

    private static void RejectDuplicates(IEnumerable<ResourceDocument> documents)
    {
        foreach (IGrouping<string, ResourceDocument> same in documents.GroupBy(document => document.Name, StringComparer.Ordinal))
        {
            if (same.Count() < 2) continue;

            string sources = string.Join(" and ", same.Select(document => document.Source).Distinct(StringComparer.Ordinal));
            throw new ComponentException($"Component {same.Key} is declared {same.Count()} times ({sources}); names must be unique.");
        }
    }

    private ComponentDefinition Read(ResourceDocument document)
    {
        if (document.Name.Length == 0) throw new ComponentException($"{document.Source}: a Component has no metadata.name.");
        if (document.Spec is not { } spec || spec.FindText("type") is not { Length: > 0 } type)
        {
            throw new ComponentException($"{document.Source}: Component {document.Name} has no spec.type.");
        }

        var metadata = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        string? secretStore = (document.Root.Find("auth") as YamlMappingNode)?.FindText("secretStore");
        foreach (YamlMappingNode item in (spec.Find("metadata") as YamlSequenceNode)?.OfType<YamlMappingNode>() ?? [])
        {
            string name = item.FindText("name") is { Length: > 0 } given
                ? given
                : throw new ComponentException($"{document.Source}: Component {document.Name} has a metadata entry without a name.");
            metadata[name] = Resolve(document, name, item, secretStore);
        }

        return new ComponentDefinition(document.Name, type, spec.FindText("version") ?? "")
        {
            Metadata = metadata,
            Scopes = document.Scopes,
            Source = document.Source,
            IgnoreErrors = bool.TryParse(spec.FindText("ignoreErrors"), out bool ignore) && ignore,
        };
    }

    private string Resolve(ResourceDocument document, string name, YamlMappingNode item, string? secretStore)
    {
        if (item.Find("secretKeyRef") is YamlMappingNode secret) return FromSecret(document, name, secret, secretStore);
        if (item.FindText("envRef") is { Length: > 0 } variable) return FromEnvironment(document, name, variable);

        string value = item.Find("value") switch
        {
            null => "",
            YamlScalarNode { Value: null } => "",
            // An unquoted null is no value; a quoted one is the text.
            YamlScalarNode { Value: "null" or "~", Style: ScalarStyle.Plain } => "",
            YamlScalarNode scalar => scalar.Value!,
            _ => throw new ComponentException($"{document.Source}: Component {document.Name}, metadata '{name}': the value must be a scalar."),
        };
        return FillTemplates(document, name, value);
    }

    private string FromSecret(ResourceDocument document, string name, YamlMappingNode secret, string? secretStore)
    {
        string secretName = secret.FindText("name") ?? "";
        string key = secret.FindText("key") is { Length: > 0 } given ? given : secretName;
        if (secretStore is null || !_secrets.TryGetValue(secretStore, out LocalSecrets? store))
        {
            throw new ComponentException(
                $"{document.Source}: Component {document.Name}, metadata '{name}' refers to secret '{secretName}', but auth.secretStore " +
                $"is '{secretStore}' and this app sees no secret store component of that name.");
        }

        return store.Find(secretName, key) ?? throw new ComponentException(
            $"{document.Source}: Component {document.Name}, metadata '{name}': secret store {secretStore} has no secret '{secretName}' with key '{key}'.");
    }

    private static string FromEnvironment(ResourceDocument document, string name, string variable)
    {
        // The sidecar's own variables are not for components to read.
        if (variable.StartsWith("DAPR_", StringComparison.OrdinalIgnoreCase) || variable.StartsWith("APP_", StringComparison.OrdinalIgnoreCase)
            || variable.Contains(' ', StringComparison.Ordinal))
        {
            throw new ComponentException(
                $"{document.Source}: Component {document.Name}, metadata '{name}': envRef '{variable}' is not allowed (APP_* and DAPR_* are reserved).");
        }

        return Environment.GetEnvironmentVariable(variable) ?? "";
    }

    private string FillTemplates(ResourceDocument document, string name, string value)
    {
        while (value.IndexOf("{uuid}", StringComparison.Ordinal) is >= 0 and int at)
        {
            value = string.Create(CultureInfo.InvariantCulture, $"{value.AsSpan(0, at)}{Guid.NewGuid():D}{value.AsSpan(at + "{uuid}".Length)}");
        }

        if (value.Contains("{podName}", StringComparison.Ordinal))
        {
            if (string.IsNullOrEmpty(reader.PodName))
            {
                throw new ComponentException($"{document.Source}: Component {document.Name}, metadata '{name}' uses {{podName}}, but POD_NAME is not set.");
            }

            value = value.Replace("{podName}", reader.PodName, StringComparison.Ordinal);
        }

        return value.Replace("{namespace}", $"{reader.Namespace}.{reader.AppId}", StringComparison.Ordinal)
            .Replace("{appID}", reader.AppId, StringComparison.Ordinal);
    }
}
