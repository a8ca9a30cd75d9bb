namespace Mesh.Host.Topology;

/// <summary>A multi-app run template (dapr.yaml), parsed: every path absolute, common settings folded into the apps.</summary>
internal sealed record RunTemplate(string FilePath, IReadOnlyList<AppTemplate> Apps)
{
    public string Directory => Path.GetDirectoryName(FilePath)!;
}

/// <summary>One app of the template.</summary>
internal sealed record AppTemplate
{
    public required string AppId { get; init; }

    /// <summary>Working directory of the command.</summary>
    public required string AppDirectory { get; init; }

    /// <summary>Null: the app has no port, and its sidecar calls nobody.</summary>
    public int? AppPort { get; init; }

    /// <summary>Null: any free port, as the Dapr CLI does.</summary>
    public int? DaprHttpPort { get; init; }

    public int? DaprGrpcPort { get; init; }

    public IReadOnlyList<string> ResourcesPaths { get; init; } = [];

    public string? ConfigFilePath { get; init; }

    /// <summary>Empty: only the sidecar is started; the app runs elsewhere, say in a debugger.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// The other properties by their name in the template, e.g. <c>appMaxConcurrency</c>. What each means to a daprd, and which of
    /// them the embedded sidecar reads, is in <see cref="TemplateProperties"/>.
    /// </summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>Largest request body, in bytes; null = the sidecar's default.</summary>
    public int? BodyBytesMax => Settings.TryGetValue("daprHTTPMaxRequestSize", out string? megabytes) ? int.Parse(megabytes, null) * 1024 * 1024 : null;
}

/// <summary>The template cannot be used; the message lists every fault with its line.</summary>
internal sealed class TemplateException(string path, IReadOnlyList<string> faults)
    : Exception($"{path} cannot be used:{string.Concat(faults.Select(fault => $"{System.Environment.NewLine}  {fault}"))}")
{
    public IReadOnlyList<string> Faults => faults;
}
