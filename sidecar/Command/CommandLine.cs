namespace Mesh.Sidecar.Command;

/// <summary>A command line that cannot be understood. The message says what to change.</summary>
public sealed class UsageException(string message) : Exception(message);

/// <summary>
/// daprd's flags as given: <c>--flag value</c>, <c>--flag=value</c>, <c>-flag value</c>; switches stand alone or take
/// <c>=true</c> and <c>=false</c>. A flag given twice counts twice where it is a list, else the last one counts.
/// </summary>
internal sealed class CommandLine
{
    private readonly List<(string Name, string Value)> _given = [];

    /// <summary>Flags given that have no meaning here, each once.</summary>
    public IReadOnlyList<string> Ignored =>
        [.. _given.Select(flag => flag.Name).Where(name => DaprdFlags.All[name].Meaning == FlagMeaning.Ignored).Distinct(StringComparer.Ordinal)];

    /// <exception cref="UsageException">A flag is unknown, lacks its value, or something is no flag.</exception>
    public static CommandLine Parse(IReadOnlyList<string> arguments)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        var line = new CommandLine();
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (!argument.StartsWith('-') || argument.TrimStart('-').Length == 0) throw new UsageException($"'{argument}' is not a flag.");

            string[] parts = argument.TrimStart('-').Split('=', 2);
            if (!DaprdFlags.All.TryGetValue(parts[0], out DaprdFlag? flag)) throw new UsageException($"Unknown flag --{parts[0]}.");

            if (parts.Length == 2) line._given.Add((flag.Name, parts[1]));
            else if (flag.IsSwitch) line._given.Add((flag.Name, "true"));
            else if (i + 1 < arguments.Count) line._given.Add((flag.Name, arguments[++i]));
            else throw new UsageException($"Flag --{flag.Name} needs a value.");
        }

        return line;
    }

    /// <summary>The last value given; null where there is none or it is empty.</summary>
    public string? Last(string name)
    {
        string value = _given.LastOrDefault(flag => flag.Name == name).Value;
        return string.IsNullOrEmpty(value) ? null : value;
    }

    /// <summary>All values given, comma lists taken apart.</summary>
    public IReadOnlyList<string> All(string name) =>
        [.. _given.Where(flag => flag.Name == name).SelectMany(flag => flag.Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];

    /// <exception cref="UsageException">The value is neither true nor false.</exception>
    public bool IsOn(string name) => Last(name) is { } value && value.ToLowerInvariant() switch
    {
        "true" or "t" or "1" => true,
        "false" or "f" or "0" => false,
        _ => throw new UsageException($"Flag --{name} takes true or false, not '{value}'."),
    };
}
