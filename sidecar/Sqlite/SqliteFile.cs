using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.Sqlite;

/// <summary>How the connections of one SQLite file are opened: durable by default, one writer beside many readers.</summary>
public sealed record SqliteFile(string Path)
{
    static SqliteFile() => SQLitePCL.Batteries.Init();

    public TimeSpan BusyTimeout { get; init; } = TimeSpan.FromSeconds(2);

    public bool DisableWal { get; init; }

    public SqliteOpenMode Mode { get; init; } = SqliteOpenMode.ReadWriteCreate;

    /// <summary>Further PRAGMA statements, for every connection.</summary>
    public IReadOnlyList<string> Pragmas { get; init; } = [];

    /// <summary>
    /// Opens the writer's connection, and the folder and file where they do not exist. <c>synchronous = FULL</c>: a commit
    /// returns only when the log is on disk, so what was acknowledged survives a crash of the machine too.
    /// </summary>
    public SqliteConnection OpenWriter()
    {
        if (Mode == SqliteOpenMode.ReadWriteCreate) Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path)!);
        SqliteConnection connection = Open(Mode);
        if (Mode != SqliteOpenMode.ReadOnly) connection.Execute($"PRAGMA journal_mode = {(DisableWal ? "DELETE" : "WAL")}");
        connection.Execute("PRAGMA synchronous = FULL");
        return connection;
    }

    /// <summary>Opens a connection that only reads.</summary>
    public SqliteConnection OpenReader()
    {
        SqliteConnection connection = Open(Mode == SqliteOpenMode.ReadOnly ? Mode : SqliteOpenMode.ReadWrite);
        connection.Execute("PRAGMA query_only = ON");
        return connection;
    }

    private SqliteConnection Open(SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = Path,
            Mode = mode,
            Pooling = false,
            // The driver retries a busy database by itself until this has passed; SQLite's own wait below does it better.
            DefaultTimeout = 1,
        }.ToString());
        try
        {
            connection.Open();
            connection.Execute($"PRAGMA busy_timeout = {(long)Math.Max(0, BusyTimeout.TotalMilliseconds)}");
            foreach (string pragma in Pragmas) connection.Execute(pragma);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}

/// <summary>Small steps on a connection.</summary>
public static class SqliteSteps
{
    /// <summary>Runs one statement. The text is the program's own, never a caller's.</summary>
    public static void Execute(this SqliteConnection connection, string sql)
    {
        ArgumentNullException.ThrowIfNull(connection);
        using SqliteCommand command = connection.CreateCommand();
#pragma warning disable CA2100 // identifiers are checked letters, digits and underscores; values never come in this way
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    /// <summary>A prepared statement with named parameters, all unset.</summary>
    public static SqliteCommand Prepare(this SqliteConnection connection, string sql, params ReadOnlySpan<string> parameters)
    {
        ArgumentNullException.ThrowIfNull(connection);
        SqliteCommand command = connection.CreateCommand();
#pragma warning disable CA2100 // as above
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (string parameter in parameters) command.Parameters.AddWithValue(parameter, DBNull.Value);
        command.Prepare();
        return command;
    }

    public static void Set(this SqliteCommand command, string parameter, object? value)
    {
        ArgumentNullException.ThrowIfNull(command);
        command.Parameters[parameter].Value = value ?? DBNull.Value;
    }
}
