using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Mesh.Sidecar.Sqlite;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.State;

/// <summary>The writer's prepared statements. Used on the writer's thread only.</summary>
internal sealed class SqliteStateStatements(SqliteConnection connection, string table) : IDisposable
{
    private readonly SqliteCommand _findETag = connection.Prepare(
        $"SELECT etag FROM {table} WHERE key = $key AND (expiration_time IS NULL OR expiration_time > $now)", "$key", "$now");

    private readonly SqliteCommand _upsert = connection.Prepare(
        $"""
        INSERT INTO {table} (key, value, is_binary, etag, expiration_time, update_time)
        VALUES ($key, $value, $binary, $etag, $expires, $now)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, is_binary = excluded.is_binary, etag = excluded.etag,
          expiration_time = excluded.expiration_time, update_time = excluded.update_time
        """,
        "$key", "$value", "$binary", "$etag", "$expires", "$now");

    private readonly SqliteCommand _delete = connection.Prepare($"DELETE FROM {table} WHERE key = $key", "$key");

    private readonly SqliteCommand _deleteExpired = connection.Prepare(
        $"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE expiration_time IS NOT NULL AND expiration_time <= $now LIMIT $limit)",
        "$now", "$limit");

    public string? FindETag(string key, string now)
    {
        _findETag.Set("$key", key);
        _findETag.Set("$now", now);
        return _findETag.ExecuteScalar() as string;
    }

    public void Upsert(string key, ReadOnlySpan<byte> value, bool isJson, string now, string? expires)
    {
        _upsert.Set("$key", key);
        _upsert.Set("$value", isJson ? Encoding.UTF8.GetString(value) : Convert.ToBase64String(value));
        _upsert.Set("$binary", isJson ? 0 : 1);
        _upsert.Set("$etag", Guid.NewGuid().ToString());
        _upsert.Set("$expires", expires);
        _upsert.Set("$now", now);
        _upsert.ExecuteNonQuery();
    }

    public void Delete(string key)
    {
        _delete.Set("$key", key);
        _delete.ExecuteNonQuery();
    }

    /// <summary>Removes up to <paramref name="limit"/> expired rows and says how many.</summary>
    public int DeleteExpired(string now, int limit)
    {
        _deleteExpired.Set("$now", now);
        _deleteExpired.Set("$limit", limit);
        return _deleteExpired.ExecuteNonQuery();
    }

    public void Dispose()
    {
        _findETag.Dispose();
        _upsert.Dispose();
        _delete.Dispose();
        _deleteExpired.Dispose();
    }
}

/// <summary>One read connection with its prepared statements.</summary>
internal sealed class SqliteStateReader(SqliteConnection connection, string table) : IDisposable
{
    private readonly SqliteCommand _find = connection.Prepare(
        $"SELECT value, is_binary, etag, expiration_time FROM {table} WHERE key = $key AND (expiration_time IS NULL OR expiration_time > $now)",
        "$key", "$now");

    // A range over the primary key's index. An open-ended prefix compares with a blob, which sorts after every text.
    private readonly SqliteCommand _keys = connection.Prepare(
        $"SELECT key FROM {table} WHERE key >= $from AND key < $to AND (expiration_time IS NULL OR expiration_time > $now) ORDER BY key",
        "$from", "$to", "$now");

    public StateItem? Find(string key, string now)
    {
        _find.Set("$key", key);
        _find.Set("$now", now);
        using SqliteDataReader row = _find.ExecuteReader();
        if (!row.Read()) return null;

        DateTimeOffset? expires = row.IsDBNull(3)
            ? null
            : DateTimeOffset.Parse(row.GetString(3), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
        return new StateItem(Decode(row), row.GetString(2), expires);
    }

    /// <summary>All keys as of one moment.</summary>
    public IReadOnlyList<StateItem?> FindAll(IReadOnlyList<string> keys, string now)
    {
        var items = new StateItem?[keys.Count];
        connection.Execute("BEGIN");
        try
        {
            for (int i = 0; i < items.Length; i++) items[i] = Find(keys[i], now);
        }
        finally
        {
            connection.Execute("COMMIT");
        }

        return items;
    }

    public IReadOnlyList<string> Keys(string prefix, string now)
    {
        _keys.Set("$from", prefix);
        _keys.Set("$to", (object?)Successor(prefix) ?? Array.Empty<byte>());
        _keys.Set("$now", now);
        var keys = new List<string>();
        using SqliteDataReader rows = _keys.ExecuteReader();
        while (rows.Read()) keys.Add(rows.GetString(0));
        return keys;
    }

    public void Dispose()
    {
        _find.Dispose();
        _keys.Dispose();
        connection.Dispose();
    }

    /// <summary>The smallest text above all that start with <paramref name="prefix"/>, in SQLite's order (code points); null = none.</summary>
    internal static string? Successor(string prefix)
    {
        Rune[] runes = [.. prefix.EnumerateRunes()];
        for (int last = runes.Length - 1; last >= 0; last--)
        {
            if (runes[last].Value == 0x10FFFF) continue;

            int next = runes[last].Value == 0xD7FF ? 0xE000 : runes[last].Value + 1;
            return string.Concat(runes.Take(last)) + new Rune(next);
        }

        return null;
    }

    private static byte[] Decode(SqliteDataReader row)
    {
        // SQLite hands text out as UTF-8: base64 is decoded from there, without a string in between.
        byte[] text = row.GetFieldValue<byte[]>(0);
        if (!row.GetBoolean(1)) return text;

        byte[] value = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        OperationStatus status = Base64.DecodeFromUtf8(text, value, out _, out int written);
        if (status != OperationStatus.Done) throw new StateStoreException("A stored value is not valid base64; the database was changed by another program.");
        return written == value.Length ? value : value[..written];
    }
}
