using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>
/// The tables. A group's <c>cursor</c> is the newest message it has been handed; <c>pending</c> holds those handed out and not
/// yet acknowledged, so that acknowledging out of order costs nothing and everything at or below the cursor without a pending
/// row is done. <c>due_at</c> is the end of the lease while a consumer holds the message, else the time of redelivery.
/// </summary>
internal static class SqliteSchema
{
    private const int Version = 1;

    private const string Tables = """
        CREATE TABLE IF NOT EXISTS messages(
            seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, data BLOB NOT NULL, content_type TEXT NOT NULL,
            cloud_event INTEGER NOT NULL, metadata TEXT, published_at INTEGER NOT NULL, expires_at INTEGER);
        CREATE INDEX IF NOT EXISTS messages_by_topic ON messages(topic, seq);
        CREATE INDEX IF NOT EXISTS messages_by_expiry ON messages(expires_at) WHERE expires_at IS NOT NULL;
        CREATE TABLE IF NOT EXISTS groups(
            id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, name TEXT NOT NULL, cursor INTEGER NOT NULL,
            ephemeral INTEGER NOT NULL, seen_at INTEGER NOT NULL, UNIQUE(topic, name));
        CREATE TABLE IF NOT EXISTS pending(
            group_id INTEGER NOT NULL, seq INTEGER NOT NULL, lease INTEGER, owner INTEGER, due_at INTEGER NOT NULL,
            attempts INTEGER NOT NULL, PRIMARY KEY(group_id, seq)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS owners(
            id INTEGER PRIMARY KEY AUTOINCREMENT, machine TEXT NOT NULL, pid INTEGER NOT NULL, started_at INTEGER NOT NULL);
        """;

    /// <summary>Opens a connection with the settings every one of them needs.</summary>
    public static SqliteConnection Open(string path)
    {
        SQLitePCL.Batteries_V2.Init();
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, DefaultTimeout = 30 }.ToString());
        connection.Open();
        Run(connection, "PRAGMA busy_timeout=10000; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=268435456;");
        return connection;
    }

    /// <summary>Makes the tables on a new file; refuses a file that a newer version wrote.</summary>
    public static void Prepare(SqliteConnection connection, string path)
    {
        Run(connection, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;");
        long version = (long)Scalar(connection, "PRAGMA user_version")!;
        if (version > Version)
        {
            throw new BrokerException($"{path} has schema version {version}, this sidecar knows {Version}. Use the newer sidecar or another file.");
        }

        Run(connection, "BEGIN IMMEDIATE");
        Run(connection, Tables);
        Run(connection, $"PRAGMA user_version={Version}");
        Run(connection, "COMMIT");
    }

    public static void Run(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public static object? Scalar(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }
}

/// <summary>Prepared statements of one connection, by their text.</summary>
internal sealed class SqliteStatements(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, SqliteCommand> _commands = new(StringComparer.Ordinal);

    /// <summary>Rows changed by a statement with parameters <c>$0</c>, <c>$1</c>, ...</summary>
    public int Run(string sql, params ReadOnlySpan<object?> values) => Bind(sql, values).ExecuteNonQuery();

    /// <summary>First column of the first row; null where there is none or it is NULL.</summary>
    public object? Scalar(string sql, params ReadOnlySpan<object?> values) => Bind(sql, values).ExecuteScalar() is { } value and not DBNull ? value : null;

    public SqliteDataReader Query(string sql, params ReadOnlySpan<object?> values) => Bind(sql, values).ExecuteReader();

    public void Dispose()
    {
        foreach (SqliteCommand command in _commands.Values) command.Dispose();
        _commands.Clear();
    }

    private SqliteCommand Bind(string sql, ReadOnlySpan<object?> values)
    {
        if (!_commands.TryGetValue(sql, out SqliteCommand? command))
        {
            command = connection.CreateCommand();
            command.CommandText = sql;
            for (int i = 0; i < values.Length; i++) command.Parameters.Add(new SqliteParameter($"${i}", null));
            _commands.Add(sql, command);
        }

        for (int i = 0; i < values.Length; i++) command.Parameters[i].Value = values[i] ?? DBNull.Value;
        return command;
    }
}
