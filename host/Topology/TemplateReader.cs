using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Mesh.Host.Topology;

/// <summary>
/// Reads a multi-app run template. Paths under <c>common</c> and <c>appDirPath</c> are relative to the file, an app's other
/// paths to its folder. A property that the format does not know is an error, with its line: a typo must not become a default.
/// </summary>
internal sealed class TemplateReader
{
    private static readonly string[] PathProperties = ["resourcesPath", "resourcesPaths", "configFilePath"];
    private static readonly string[] AppProperties = ["appID", "appDirPath", "appPort", "daprHTTPPort", "daprGRPCPort", "command", "env"];

    private readonly string _path;
    private readonly string _directory;
    private readonly List<string> _faults = [];

    private TemplateReader(string path)
    {
        _path = path;
        _directory = Path.GetDirectoryName(path)!;
    }

    /// <exception cref="TemplateException">The file is missing or has faults; all are listed.</exception>
    public static RunTemplate Read(string path)
    {
        path = Path.GetFullPath(path);
        if (Directory.Exists(path)) path = Path.Combine(path, "dapr.yaml");
        if (!File.Exists(path)) throw new TemplateException(path, ["There is no such file."]);

        return Parse(path, File.ReadAllText(path));
    }

    /// <summary>The nearest dapr.yaml in a folder or above it; null where there is none.</summary>
    public static string? Find(string directory)
    {
        for (DirectoryInfo? folder = new(directory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "dapr.yaml");
            if (File.Exists(path)) return path;
        }

        return null;
    }

    internal static RunTemplate Parse(string path, string text)
    {
        var reader = new TemplateReader(path);
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException exception)
        {
            throw new TemplateException(path, [$"line {exception.Start.Line}: not valid YAML: {exception.Message}"]);
        }

        RunTemplate template = reader.ReadRoot(stream);
        return reader._faults.Count == 0 ? template : throw new TemplateException(path, reader._faults);
    }

    private RunTemplate ReadRoot(YamlStream stream)
    {
        if (stream.Documents.Count == 0 || stream.Documents[0].RootNode is not YamlMappingNode root)
        {
            throw new TemplateException(_path, ["line 1: expected a mapping with version, common and apps."]);
        }

        Dictionary<string, YamlNode> properties = PropertiesOf(root, "the template", ["version", "common", "apps"]);
        if (!properties.TryGetValue("version", out YamlNode? version)) Fault(root, "version is missing; expected version: 1");
        else if (TextOf(version, "version") is not "1") Fault(version, $"version {version} is not supported; expected 1");

        var common = new Section(_directory);
        if (properties.TryGetValue("common", out YamlNode? commonNode) && MappingOf(commonNode, "common") is { } commonMapping)
        {
            ReadSection(PropertiesOf(commonMapping, "common", ["env", .. PathProperties, .. TemplateProperties.Settings.Keys]), common);
        }

        var apps = new List<AppTemplate>();
        if (!properties.TryGetValue("apps", out YamlNode? appsNode)) Fault(root, "apps is missing; expected a list of apps");
        else if (appsNode is not YamlSequenceNode { Children.Count: > 0 } list) Fault(appsNode, "apps must be a list with at least one app");
        else apps.AddRange(list.Select(node => ReadApp(node, common)).OfType<AppTemplate>());

        CheckUnique(apps);
        return new RunTemplate(_path, apps);
    }

    private AppTemplate? ReadApp(YamlNode node, Section common)
    {
        if (MappingOf(node, "an app") is not { } mapping) return null;

        Dictionary<string, YamlNode> properties = PropertiesOf(mapping, "an app", [.. AppProperties, .. PathProperties, .. TemplateProperties.Settings.Keys]);
        if (!properties.TryGetValue("appDirPath", out YamlNode? directoryNode))
        {
            Fault(node, "appDirPath is missing: every app needs the folder of its code");
            return null;
        }

        string directory = Path.GetFullPath(TextOf(directoryNode, "appDirPath"), _directory);
        if (!Directory.Exists(directory)) Fault(directoryNode, $"appDirPath {TextOf(directoryNode, "appDirPath")}: there is no folder {directory}");

        var section = new Section(directory);
        ReadSection(properties, section);
        string appId = properties.TryGetValue("appID", out YamlNode? idNode) ? TextOf(idNode, "appID") : Path.GetFileName(Path.TrimEndingDirectorySeparator(directory));
        if (!IsAppId(appId)) Fault(idNode ?? node, $"appID {appId}: expected letters, digits, '-', '_' and '.'");

        return new AppTemplate
        {
            AppId = appId,
            AppDirectory = directory,
            AppPort = PortOf(properties, "appPort"),
            DaprHttpPort = PortOf(properties, "daprHTTPPort"),
            DaprGrpcPort = PortOf(properties, "daprGRPCPort"),
            ResourcesPaths = FirstNonEmpty(section.ResourcesPaths, Existing(directory, ".dapr", "resources"), common.ResourcesPaths),
            ConfigFilePath = section.ConfigFilePath ?? common.ConfigFilePath,
            Command = properties.TryGetValue("command", out YamlNode? command) ? CommandOf(command) : [],
            Environment = Merge(common.Environment, section.Environment),
            Settings = Merge(common.Settings, section.Settings),
        };
    }

    // What common and an app may both say.
    private void ReadSection(Dictionary<string, YamlNode> properties, Section section)
    {
        foreach ((string name, YamlNode node) in properties)
        {
            switch (name)
            {
                case "resourcesPath" or "resourcesPaths":
                    section.ResourcesPaths = [.. PathsOf(node, name).Select(path => Path.GetFullPath(path, section.BaseDirectory))];
                    break;
                case "configFilePath":
                    section.ConfigFilePath = Path.GetFullPath(TextOf(node, name), section.BaseDirectory);
                    break;
                case "env" when MappingOf(node, "env") is { } mapping:
                    foreach ((YamlNode key, YamlNode value) in mapping.Children) section.Environment[TextOf(key, "env")] = TextOf(value, $"env {key}");
                    break;
                default:
                    if (TemplateProperties.Settings.TryGetValue(name, out TemplateProperty? property)) section.Settings[name] = SettingOf(property, node);
                    break;
            }
        }
    }

    private Dictionary<string, YamlNode> PropertiesOf(YamlMappingNode mapping, string owner, IReadOnlyCollection<string> known)
    {
        var properties = new Dictionary<string, YamlNode>(StringComparer.Ordinal);
        foreach ((YamlNode key, YamlNode value) in mapping.Children)
        {
            string name = TextOf(key, owner);
            if (known.Contains(name))
            {
                properties[name] = value;
                continue;
            }

            string? meant = known.FirstOrDefault(candidate => candidate.Equals(name, StringComparison.OrdinalIgnoreCase));
            Fault(key, $"'{name}' is not a property of {owner}{(meant is null ? "" : $"; did you mean '{meant}'?")}");
        }

        return properties;
    }

    private string SettingOf(TemplateProperty property, YamlNode node)
    {
        string text = TextOf(node, property.Name);
        bool valid = property.Kind switch
        {
            SettingKind.Port => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is >= 1 and <= 65535,
            SettingKind.Number => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _),
            SettingKind.Megabytes => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size is >= 1 and <= 2047, // bytes fit an int
            SettingKind.Boolean => text is "true" or "false",
            _ => true,
        };
        string expected = property.Kind switch
        {
            SettingKind.Port => "port of 1-65535",
            SettingKind.Megabytes => "number of 1-2047",
            _ => property.Kind.ToString(),
        };
        if (!valid) Fault(node, $"{property.Name} {text}: expected a {expected}");
        return text;
    }

    private int? PortOf(Dictionary<string, YamlNode> properties, string name)
    {
        if (!properties.TryGetValue(name, out YamlNode? node)) return null;
        string text = TextOf(node, name);
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is >= 1 and <= 65535) return port;
        Fault(node, $"{name} {text}: expected a port of 1-65535");
        return null;
    }

    private IReadOnlyList<string> CommandOf(YamlNode node)
    {
        if (node is YamlSequenceNode { Children.Count: > 0 } list) return [.. list.Select(word => TextOf(word, "command"))];
        Fault(node, "command must be a list of words, e.g. [\"dotnet\", \"run\"]");
        return [];
    }

    private IEnumerable<string> PathsOf(YamlNode node, string name) => node is YamlSequenceNode list
        ? list.Select(path => TextOf(path, name))
        : TextOf(node, name).Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private string TextOf(YamlNode node, string name)
    {
        if (node is YamlScalarNode scalar) return scalar.Value ?? "";
        Fault(node, $"{name} must be a single value");
        return "";
    }

    private YamlMappingNode? MappingOf(YamlNode node, string name)
    {
        if (node is YamlMappingNode mapping) return mapping;
        if (node is not YamlScalarNode { Value: "" or null }) Fault(node, $"{name} must be a mapping");
        return null;
    }

    private void CheckUnique(IReadOnlyList<AppTemplate> apps)
    {
        foreach (IGrouping<string, AppTemplate> same in apps.GroupBy(app => app.AppId).Where(group => group.Count() > 1))
        {
            _faults.Add($"appID {same.Key} is used by {same.Count()} apps");
        }

        var ports = apps.SelectMany(app => new[] { (app.AppId, "appPort", app.AppPort), (app.AppId, "daprHTTPPort", app.DaprHttpPort), (app.AppId, "daprGRPCPort", app.DaprGrpcPort) })
            .Where(port => port.Item3 is not null);
        foreach (var same in ports.GroupBy(port => port.Item3).Where(group => group.Count() > 1))
        {
            _faults.Add($"port {same.Key} is used twice: {string.Join(" and ", same.Select(port => $"{port.Item2} of {port.AppId}"))}");
        }
    }

    private void Fault(YamlNode node, string fault) => _faults.Add($"line {node.Start.Line}: {fault}");

    private static bool IsAppId(string id) => id.Length is > 0 and <= 128 && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private static string[] Existing(params string[] parts) => Path.Combine(parts) is var path && Directory.Exists(path) ? [path] : [];

    private static IReadOnlyList<string> FirstNonEmpty(params IReadOnlyList<IReadOnlyList<string>> choices) =>
        choices.FirstOrDefault(choice => choice.Count > 0) ?? [];

    private static Dictionary<string, string> Merge(Dictionary<string, string> common, Dictionary<string, string> own)
    {
        var merged = new Dictionary<string, string>(common, StringComparer.Ordinal);
        foreach ((string name, string value) in own) merged[name] = value;
        return merged;
    }

    private sealed class Section(string baseDirectory)
    {
        public string BaseDirectory => baseDirectory;

        public IReadOnlyList<string> ResourcesPaths { get; set; } = [];

        public string? ConfigFilePath { get; set; }

        public Dictionary<string, string> Environment { get; } = new(StringComparer.Ordinal);

        public Dictionary<string, string> Settings { get; } = new(StringComparer.Ordinal);
    }
}
