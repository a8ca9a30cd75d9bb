using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Mesh.Contracts;
using Mesh.Inference.Features;

namespace Mesh.Inference;

/// <summary>manifest.json of a model package: what it is, how features are made for it, and the hashes of its files.</summary>
public sealed record ModelManifest
{
    /// <summary>Name of the file in a package.</summary>
    public const string FileName = "manifest.json";

    /// <summary>The format that is read here.</summary>
    public const int FormatRead = 1;

    internal const int BytesMax = 1024 * 1024;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        MaxDepth = 16,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    public required int Format { get; init; }

    /// <summary>Name, '-' and 8 hex digits of what the files hold: two packages of one version are the same.</summary>
    public required string Version { get; init; }

    public required IReadOnlyList<string> Actions { get; init; }

    [JsonPropertyName("features")]
    public required FeatureSettings Features { get; init; }

    public required SemanticIdShape SemanticIds { get; init; }

    public required ItemShape Item { get; init; }

    public required UserShape User { get; init; }

    public required IReadOnlyList<ModelFile> Files { get; init; }

    /// <summary>Reads and checks a manifest.</summary>
    /// <exception cref="ModelRejectedException">It breaks a rule; the message lists every fault.</exception>
    public static ModelManifest Read(ReadOnlySpan<byte> json)
    {
        if (json.Length > BytesMax) throw new ModelRejectedException($"{FileName} has {json.Length} bytes; at most {BytesMax}.");
        ModelManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize<ModelManifest>(json, Json) ?? throw new ModelRejectedException($"{FileName} is null.");
        }
        catch (JsonException exception)
        {
            throw new ModelRejectedException($"{FileName} cannot be read: {exception.Message}", exception);
        }

        string[] faults = [.. manifest.Faults()];
        return faults.Length == 0 ? manifest : throw new ModelRejectedException($"{FileName}: {string.Join("; ", faults)}.");
    }

    /// <summary>Version of a package with these files: a pure function of their content, in the order of their names.</summary>
    public static string VersionOf(string name, IEnumerable<ModelFile> files)
    {
        string hashes = string.Concat(files.OrderBy(file => file.Name, StringComparer.Ordinal).Select(file => file.Sha256));
        return $"{name}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(hashes)))[..8]}";
    }

    /// <summary>Checks the bytes of one of the files against its entry.</summary>
    /// <exception cref="ModelRejectedException">There is no entry, or the bytes are others.</exception>
    public void Check(string name, ReadOnlySpan<byte> content)
    {
        ModelFile file = Files.FirstOrDefault(file => file.Name == name) ?? throw new ModelRejectedException($"{FileName} of {Version} has no file '{name}'.");
        if (content.Length != file.Bytes) throw new ModelRejectedException($"{name} has {content.Length} bytes; {FileName} of {Version} says {file.Bytes}.");
        string sha256 = Convert.ToHexStringLower(SHA256.HashData(content));
        if (sha256 != file.Sha256) throw new ModelRejectedException($"{name} has the sha256 {sha256}; {FileName} of {Version} says {file.Sha256}. Copy the package again.");
    }

    private IEnumerable<string> Faults()
    {
        if (Format != FormatRead) yield return $"format is {Format}; this reader knows {FormatRead}";
        IReadOnlyList<string> actions = ActionTaxonomy.Default.Names;
        if (!Actions.SequenceEqual(actions))
        {
            yield return $"actions are [{string.Join(", ", Actions)}]; contracts/actions.json has [{string.Join(", ", actions)}], in this order";
        }

        foreach (string fault in Features.Faults(actions.Count)) yield return $"features.{fault}";
        if (SemanticIds.Levels is < 1 or > 16) yield return $"semantic_ids.levels is {SemanticIds.Levels}; it must be 1..16";
        if (SemanticIds.CodesPerLevel is < 1 or > 65_536) yield return $"semantic_ids.codes_per_level is {SemanticIds.CodesPerLevel}; it must be 1..65536";
        if (Item.Dimensions is < 1 or > 4_096) yield return $"item.dimensions is {Item.Dimensions}; it must be 1..4096";
        if (User.Vectors is < 1 or > 64) yield return $"user.vectors is {User.Vectors}; it must be 1..64";
        if (Files.Contains(null))
        {
            yield return "files has an entry that is null"; // System.Text.Json looks no deeper than the list
            yield break;
        }

        foreach (IGrouping<string, ModelFile> same in Files.GroupBy(file => file.Name).Where(same => same.Count() > 1)) yield return $"files names '{same.Key}' {same.Count()} times";
        foreach (ModelFile file in Files)
        {
            if (!MeshId.IsValid(file.Name)) yield return $"files: '{file.Name}' is not the name of a file in the package";
        }

        int dash = Version.LastIndexOf('-');
        if (dash < 1 || !MeshId.IsValid(Version)) yield return $"version '{Version}' is not name-hash, of {MeshId.Rule}";
        else if (VersionOf(Version[..dash], Files) is var expected && expected != Version) yield return $"version is '{Version}'; its files make '{expected}'";
    }
}

/// <param name="Levels">Codes of an item, coarse to fine.</param>
/// <param name="CodesPerLevel">A code is below this.</param>
public sealed record SemanticIdShape(int Levels, int CodesPerLevel);

/// <param name="Dimensions">Of the vectors of items and users.</param>
public sealed record ItemShape(int Dimensions);

/// <param name="Vectors">Query vectors of a user.</param>
public sealed record UserShape(int Vectors);

/// <param name="Sha256">Lower-case hex.</param>
public sealed record ModelFile(string Name, long Bytes, string Sha256);
