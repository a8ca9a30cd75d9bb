using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Mesh.Gateway.Pipeline.Plan;

/// <summary>
/// Reads pipeline.yaml into stage definitions by section. Reads node by node and not into objects, so that every fault is
/// reported at once and with its line.
/// </summary>
internal sealed class PipelineFile
{
    public static readonly IReadOnlyList<string> Sections =
        ["query_hydrators", "beside_sources", "sources", "hydrators", "filters", "refill", "scorers", "selector", "side_effects"];

    private const string BesideSources = "beside_sources";

    private static readonly HashSet<string> ParallelSections = ["query_hydrators", "sources", "hydrators"];
    private static readonly HashSet<string> RemoteSections = ["sources", "filters", "refill", "scorers", "side_effects"];
    private static readonly HashSet<string> StageKeys = ["name", "timeout_ms", "parallel", "on_failure", "params", "invoke"];

    private readonly Dictionary<string, List<StageDefinition>> _stages = Sections.ToDictionary(section => section, _ => new List<StageDefinition>(), StringComparer.Ordinal);
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    private PipelineFile(string file) => File = file;

    public string File { get; }

    public List<string> Faults { get; } = [];

    public IReadOnlyList<StageDefinition> this[string section] => _stages[section];

    public static PipelineFile Parse(string file, TextReader text)
    {
        var parsed = new PipelineFile(file);
        try
        {
            var stream = new YamlStream();
            stream.Load(text);
            if (stream.Documents is [{ RootNode: YamlMappingNode root }]) parsed.ReadRoot(root);
            else parsed.Faults.Add("the file does not hold one YAML mapping");
        }
        catch (YamlException exception)
        {
            parsed.Faults.Add($"line {exception.Start.Line}: {exception.Message}");
        }

        return parsed;
    }

    private void ReadRoot(YamlMappingNode root)
    {
        foreach ((YamlNode key, YamlNode value) in root.Children)
        {
            string section = key.ToString();
            if (!_stages.TryGetValue(section, out List<StageDefinition>? stages))
                Fault(key, $"'{section}' is not a section; the sections are {string.Join(", ", Sections)}");
            else if (value is YamlSequenceNode list)
                stages.AddRange(list.Children.Select(node => ReadStage(section, node)).OfType<StageDefinition>());
            else if (value is not YamlScalarNode { Value: null or "" }) Fault(value, $"{section} must be a list of stages");
        }

        if (_stages["sources"].Count == 0) Faults.Add("sources is empty; a feed needs at least one");
        if (_stages["selector"].Count != 1) Faults.Add($"selector holds {_stages["selector"].Count} stages; it must hold exactly one");
    }

    private StageDefinition? ReadStage(string section, YamlNode node)
    {
        if (node is not YamlMappingNode stage)
        {
            Fault(node, $"a stage of {section} must be a mapping with at least a name");
            return null;
        }

        foreach (YamlNode key in stage.Children.Keys.Where(key => !StageKeys.Contains(key.ToString())))
        {
            Fault(key, $"'{key}' is not a field of a stage; the fields are {string.Join(", ", StageKeys)}");
        }

        string name = Scalar(stage, "name") ?? "";
        if (name.Length == 0) Fault(stage, $"a stage of {section} has no name");
        else if (!_names.Add(name)) Fault(stage, $"stage '{name}' is listed twice; a name says which stage a page was served without");
        string where = $"{section}/{name}";

        int timeoutMs = 0;
        string? timeout = Scalar(stage, "timeout_ms");
        if (timeout is null) Fault(stage, $"{where} has no timeout_ms; every stage has a time");
        else if (!int.TryParse(timeout, NumberStyles.None, CultureInfo.InvariantCulture, out timeoutMs) || timeoutMs is < 1 or > 60_000)
            Fault(stage, $"{where}: timeout_ms is '{timeout}'; 1-60000 was expected");

        return new StageDefinition(
            name, TimeSpan.FromMilliseconds(Math.Max(1, timeoutMs)), ReadParallel(section, where, stage), ReadOnFailure(section, where, stage),
            ReadParams(where, stage), ReadInvoke(section, where, stage));
    }

    private bool ReadParallel(string section, string where, YamlMappingNode stage)
    {
        string? text = Scalar(stage, "parallel");
        if (text is not (null or "true" or "false")) Fault(stage, $"{where}: parallel is '{text}'; true or false was expected");
        if (text == "true" && !ParallelSections.Contains(section))
            Fault(stage, $"{where}: {section} run one after the other and cannot be parallel");
        return text == "true";
    }

    private OnFailure ReadOnFailure(string section, string where, YamlMappingNode stage)
    {
        string text = Scalar(stage, "on_failure") ?? "serve_without";
        if (text is not ("serve_without" or "fail_request"))
            Fault(stage, $"{where}: on_failure is '{text}'; serve_without or fail_request was expected");
        if (text == "fail_request" && section == BesideSources)
            Fault(stage, $"{where}: a stage of {section} only saves time, and no request fails without it");
        return text == "fail_request" ? OnFailure.FailRequest : OnFailure.ServeWithout;
    }

    private StageParams ReadParams(string where, YamlMappingNode stage)
    {
        long line = stage.Start.Line;
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        if (stage.Children.TryGetValue("params", out YamlNode? node))
        {
            if (node is YamlMappingNode map)
            {
                foreach ((YamlNode key, YamlNode value) in map.Children)
                {
                    if (value is YamlScalarNode scalar) values[key.ToString()] = scalar.Value ?? "";
                    else Fault(value, $"{where}: param {key} must be a single value");
                }
            }
            else
            {
                Fault(node, $"{where}: params must be a mapping");
            }
        }

        return new StageParams(values, fault => Faults.Add($"line {line}: {where}: {fault}"));
    }

    private RemoteTarget? ReadInvoke(string section, string where, YamlMappingNode stage)
    {
        if (!stage.Children.TryGetValue("invoke", out YamlNode? node)) return null;
        if (!RemoteSections.Contains(section))
            Fault(node, $"{where}: a stage of {section} cannot be another app; {string.Join(", ", RemoteSections)} can");
        if (node is YamlMappingNode invoke && Scalar(invoke, "app_id") is { Length: > 0 } appId && Scalar(invoke, "method") is { Length: > 0 } method && invoke.Children.Count == 2)
        {
            return new RemoteTarget(appId, method.TrimStart('/'));
        }

        Fault(node, $"{where}: invoke needs app_id and method, and nothing else");
        return null;
    }

    private static string? Scalar(YamlMappingNode node, string key) =>
        node.Children.TryGetValue(key, out YamlNode? value) && value is YamlScalarNode scalar ? scalar.Value : null;

    private void Fault(YamlNode node, string message) => Faults.Add($"line {node.Start.Line}: {message}");
}
