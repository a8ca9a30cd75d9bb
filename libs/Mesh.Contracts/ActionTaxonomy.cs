using System.Collections.Frozen;
using System.Text.Json;

namespace Mesh.Contracts;

/// <summary>
/// The actions a user can take on an item, in the order that every 14-wide vector of the mesh uses, with their default
/// weights. Data, not code: contracts/actions.json is embedded in this assembly.
/// </summary>
public sealed class ActionTaxonomy
{
    private readonly FrozenDictionary<string, int> _indexByName;

    private ActionTaxonomy(IReadOnlyList<string> names, IReadOnlyList<float> weights, string impression)
    {
        Names = names;
        DefaultWeights = weights;
        Impression = impression;
        _indexByName = names.Append(impression).Select((name, index) => (name, index))
            .ToFrozenDictionary(pair => pair.name, pair => pair.index, StringComparer.Ordinal);
    }

    /// <summary>The taxonomy of contracts/actions.json.</summary>
    public static ActionTaxonomy Default { get; } = Load();

    /// <summary>Action names in order; 14 by default. The impression is not among them.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Default weight of each action in the composite score, same order as <see cref="Names"/>.</summary>
    public IReadOnlyList<float> DefaultWeights { get; }

    /// <summary>Name of the served-impression event: weight 0, index <see cref="ImpressionIndex"/>.</summary>
    public string Impression { get; }

    /// <summary>Number of actions that are predicted.</summary>
    public int Count => Names.Count;

    /// <summary>Index of the impression in counter columns: right after the last action.</summary>
    public int ImpressionIndex => Names.Count;

    /// <summary>Width of a counter row: every action and the impression.</summary>
    public int CounterCount => Names.Count + 1;

    /// <summary>Index of an action or of the impression; -1 where the name is unknown.</summary>
    public int IndexOf(string name) => _indexByName.GetValueOrDefault(name, -1);

    /// <summary>Whether the action counts against an item (its default weight is below zero).</summary>
    public bool IsNegative(int index) => index < Count && DefaultWeights[index] < 0;

    /// <summary>Name at an index, the impression included.</summary>
    public string NameOf(int index) => index == ImpressionIndex ? Impression : Names[index];

    private static ActionTaxonomy Load()
    {
        using Stream stream = typeof(ActionTaxonomy).Assembly.GetManifestResourceStream("actions.json")
            ?? throw new InvalidOperationException("actions.json is not embedded in Mesh.Contracts.");
        using JsonDocument document = JsonDocument.Parse(stream);
        JsonElement[] actions = [.. document.RootElement.GetProperty("actions").EnumerateArray()];
        return new ActionTaxonomy(
            [.. actions.Select(action => action.GetProperty("name").GetString()!)],
            [.. actions.Select(action => action.GetProperty("weight").GetSingle())],
            document.RootElement.GetProperty("impression").GetString()!);
    }
}
