using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Mesh.Sidecar.Components;

/// <summary>One document of a resource file: a Component, Subscription, Resiliency, Configuration, ...</summary>
/// <param name="Source">File name, for messages.</param>
public sealed record ResourceDocument(string Kind, string ApiVersion, string Name, string Namespace, YamlMappingNode Root, string Source)
{
    /// <summary>App-ids that may use it; empty = all.</summary>
    public IReadOnlyList<string> Scopes { get; } =
        [.. (Root.Find("scopes") as YamlSequenceNode)?.OfType<YamlScalarNode>().Select(scope => scope.Value ?? "") ?? []];

    /// <summary>The <c>spec</c> mapping; null where the document has none.</summary>
    public YamlMappingNode? Spec => Root.Find("spec") as YamlMappingNode;

    public bool IsVisibleTo(string appId) => Scopes.Count == 0 || Scopes.Contains(appId, StringComparer.Ordinal);
}

/// <summary>
/// Every document of every <c>*.yaml</c> and <c>*.yml</c> under the resource folders, by kind. Who needs a kind asks for
/// it; kinds that nobody asks for are left alone.
/// </summary>
public sealed class ResourceFiles
{
    private readonly IReadOnlyList<ResourceDocument> _documents;

    private ResourceFiles(IReadOnlyList<ResourceDocument> documents) => _documents = documents;

    public static ResourceFiles Empty { get; } = new([]);

    public IEnumerable<ResourceDocument> OfKind(string kind) =>
        _documents.Where(document => string.Equals(document.Kind, kind, StringComparison.Ordinal));

    /// <summary>Reads the folders in order, the files of each by name.</summary>
    /// <exception cref="ComponentException">A folder does not exist or a file is no YAML.</exception>
    public static async Task<ResourceFiles> LoadAsync(IEnumerable<string> folders, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(folders);
        var documents = new List<ResourceDocument>();
        foreach (string folder in folders)
        {
            if (!Directory.Exists(folder)) throw new ComponentException($"Resources path {Path.GetFullPath(folder)} does not exist.");

            foreach (string file in Directory.EnumerateFiles(folder).Where(IsYaml).Order(StringComparer.Ordinal))
            {
                documents.AddRange(Parse(await File.ReadAllTextAsync(file, cancellation), file));
            }
        }

        return new ResourceFiles(documents);
    }

    private static bool IsYaml(string path) => Path.GetExtension(path).ToLowerInvariant() is ".yaml" or ".yml";

    private static IEnumerable<ResourceDocument> Parse(string text, string file)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException error)
        {
            throw new ComponentException($"{file}({error.Start.Line},{error.Start.Column}) is not valid YAML: {error.Message}", error);
        }

        foreach (YamlDocument document in stream.Documents)
        {
            // A document without a kind is somebody else's YAML that happens to lie here.
            if (document.RootNode is not YamlMappingNode root || root.FindText("kind") is not { Length: > 0 } kind) continue;

            var metadata = root.Find("metadata") as YamlMappingNode;
            yield return new ResourceDocument(
                kind, root.FindText("apiVersion") ?? "", metadata?.FindText("name") ?? "", metadata?.FindText("namespace") ?? "", root, file);
        }
    }
}

/// <summary>Reading YAML nodes by key.</summary>
public static class YamlNodes
{
    public static YamlNode? Find(this YamlMappingNode node, string key)
    {
        ArgumentNullException.ThrowIfNull(node);
        return node.Children.TryGetValue(new YamlScalarNode(key), out YamlNode? child) ? child : null;
    }

    /// <summary>Text of a scalar; null where there is none.</summary>
    public static string? FindText(this YamlMappingNode node, string key) => (node.Find(key) as YamlScalarNode)?.Value;
}
