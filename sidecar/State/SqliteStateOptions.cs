using Mesh.Sidecar.Components;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.State;

/// <summary>Metadata of <c>state.sqlite</c>, by the names of Dapr's component reference.</summary>
public sealed record SqliteStateOptions
{
    /// <summary>Full path of the database file.</summary>
    public required string Path { get; init; }

    public string TableName { get; init; } = "state";

    public string MetadataTableName { get; init; } = "metadata";

    /// <summary>Longest that a call may wait for the store. Default 20 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Pause between removals of expired rows; zero = never, rows then only stop being visible. Default: never, as in Dapr.</summary>
    public TimeSpan CleanupInterval { get; init; } = TimeSpan.Zero;

    /// <summary>Rollback journal in place of a write-ahead log, for files on a network share.</summary>
    public bool DisableWal { get; init; }

    /// <summary>Longest wait for a lock that another process holds. Default 2 s.</summary>
    public TimeSpan BusyTimeout { get; init; } = TimeSpan.FromSeconds(2);

    public SqliteOpenMode Mode { get; init; } = SqliteOpenMode.ReadWriteCreate;

    /// <summary>Further <c>_pragma=name(value)</c> of the connection string, as statements.</summary>
    public IReadOnlyList<string> Pragmas { get; init; } = [];

    /// <exception cref="ComponentException">A value is missing or unusable.</exception>
    public static SqliteStateOptions From(ComponentDefinition component, string dataDirectory)
    {
        ArgumentNullException.ThrowIfNull(component);
        string connection = component.Find("connectionString", "url")
            ?? throw component.Invalid("connectionString", "", "set to the path of the database file");
        (string file, string query) = Split(connection);
        var defaults = new SqliteStateOptions { Path = "" };
        TimeSpan timeout = component.GetDuration(component.Find("timeout") is null ? "timeoutInSeconds" : "timeout", defaults.Timeout);
        if (timeout < TimeSpan.FromSeconds(1)) throw component.Invalid("timeout", timeout.ToString(), "1s or longer");

        return new SqliteStateOptions
        {
            Path = System.IO.Path.GetFullPath(file, System.IO.Path.GetFullPath(dataDirectory)),
            TableName = Identifier(component, "tableName", defaults.TableName),
            MetadataTableName = Identifier(component, "metadataTableName", defaults.MetadataTableName),
            Timeout = timeout,
            CleanupInterval = component.GetDuration(
                component.Find("cleanupInterval") is null ? "cleanupIntervalInSeconds" : "cleanupInterval", defaults.CleanupInterval),
            DisableWal = component.IsTrue("disableWAL"),
            BusyTimeout = component.GetDuration("busyTimeout", defaults.BusyTimeout),
            Mode = ReadMode(query),
            Pragmas = ReadPragmas(component, query),
        };
    }

    /// <summary>Whether the connection string asks for a database in memory.</summary>
    public static bool IsInMemory(ComponentDefinition component)
    {
        ArgumentNullException.ThrowIfNull(component);
        string connection = component.Find("connectionString", "url") ?? "";
        return connection.StartsWith(":memory:", StringComparison.OrdinalIgnoreCase)
            || connection.StartsWith("file::memory:", StringComparison.OrdinalIgnoreCase);
    }

    private static (string File, string Query) Split(string connection)
    {
        int question = connection.IndexOf('?', StringComparison.Ordinal);
        string file = question < 0 ? connection : connection[..question];
        if (file.StartsWith("file:", StringComparison.OrdinalIgnoreCase)) file = file["file:".Length..];
        if (file.StartsWith("///", StringComparison.Ordinal)) file = file[2..];
        return (file, question < 0 ? "" : connection[(question + 1)..]);
    }

    private static IEnumerable<(string Name, string Value)> Parameters(string query) =>
        from pair in query.Split('&', StringSplitOptions.RemoveEmptyEntries)
        let parts = pair.Split('=', 2)
        select (parts[0], parts.Length > 1 ? Uri.UnescapeDataString(parts[1]) : "");

    private static SqliteOpenMode ReadMode(string query) => Parameters(query).FirstOrDefault(parameter => parameter.Name == "mode").Value switch
    {
        "ro" => SqliteOpenMode.ReadOnly,
        "rw" => SqliteOpenMode.ReadWrite,
        _ => SqliteOpenMode.ReadWriteCreate,
    };

    private static List<string> ReadPragmas(ComponentDefinition component, string query)
    {
        var statements = new List<string>();
        foreach ((_, string value) in Parameters(query).Where(parameter => parameter.Name == "_pragma"))
        {
            int open = value.IndexOf('(', StringComparison.Ordinal);
            string name = (open < 0 ? value : value[..open]).ToLowerInvariant();
            string argument = open < 0 ? "" : value[(open + 1)..].TrimEnd(')');
            if (name is "busy_timeout" or "journal_mode" or "foreign_keys" || !IsIdentifier(name) || !(argument.Length == 0 || IsIdentifier(argument)))
            {
                throw component.Invalid("connectionString", value, "without this _pragma; busyTimeout and disableWAL are metadata of their own");
            }

            statements.Add(argument.Length == 0 ? $"PRAGMA {name}" : $"PRAGMA {name} = {argument}");
        }

        return statements;
    }

    private static string Identifier(ComponentDefinition component, string name, string fallback)
    {
        string value = component.Find(name) ?? fallback;
        return IsIdentifier(value) ? value : throw component.Invalid(name, value, "made of letters, digits and underscores");
    }

    private static bool IsIdentifier(string value) => value.Length > 0 && value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '_');
}
