using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>
/// Deletes what nobody needs any more, takes over what dead processes hold, and measures depths. Runs on the writer's thread
/// between transactions, in small steps, so that publishers wait milliseconds for it at most.
/// </summary>
internal sealed class SqliteHousekeeping(SqliteBrokerOptions options, long owner, TimeProvider clock, ILogger logger, Action wakeAll)
{
    private const int DeletedPerStep = 2000;
    private const int DepthCountedMax = 100_000;
    private readonly ConcurrentDictionary<long, int> _consumed = new();
    private long _nextAt;
    private volatile IReadOnlyCollection<QueueDepth> _depths = [];
    private volatile bool _isFull; // written by the writer's thread, read by publishers

    public IReadOnlyCollection<QueueDepth> Depths => _depths;

    /// <summary>
    /// More live data than the limit. What was taken is never given up for room: publishers are refused until consumers have
    /// caught up.
    /// </summary>
    public bool IsFull => _isFull;

    /// <summary>This process consumes the group: it is not idle.</summary>
    public void Track(long groupId) => _consumed.AddOrUpdate(groupId, 1, (_, count) => count + 1);

    public void Untrack(long groupId)
    {
        if (_consumed.AddOrUpdate(groupId, 0, (_, count) => count - 1) <= 0) _consumed.TryRemove(new(groupId, 0));
    }

    public void RunIfDue(SqliteStatements statements)
    {
        long now = clock.GetUtcNow().ToUnixTimeMilliseconds();
        if (now < _nextAt) return;
        statements.Run("BEGIN IMMEDIATE");
        bool released;
        bool more;
        TimeSpan retention = LiveBytes(statements) > options.BytesMax ? TimeSpan.Zero : options.Retention;
        try
        {
            released = SqliteOwners.ReleaseDead(statements, owner);
            ForgetIdleGroups(statements, now);
            more = DeleteAcknowledged(statements, now, retention) | DeleteExpired(statements, now) | DeleteAged(statements, now);
            statements.Run("COMMIT");
        }
        catch (Exception exception) when (exception is SqliteException or InvalidOperationException)
        {
            _nextAt = now + (long)options.CleanupInterval.TotalMilliseconds;
            statements.Run("ROLLBACK");
            throw;
        }

        JudgeSize(statements);
        _depths = Measure(statements);
        _nextAt = more ? now : now + (long)options.CleanupInterval.TotalMilliseconds;
        if (released) wakeAll();
    }

    private void ForgetIdleGroups(SqliteStatements statements, long now)
    {
        // Before anything is forgotten, groups in use say so: after a laptop slept, they would look idle.
        foreach (long group in _consumed.Keys) statements.Run("UPDATE groups SET seen_at = $0 WHERE id = $1", now, group);

        long idleSince = now - (long)options.IdleGroupTimeToLive.TotalMilliseconds;
        statements.Run("DELETE FROM pending WHERE group_id IN (SELECT id FROM groups WHERE ephemeral = 1 AND seen_at < $0)", idleSince);
        int forgotten = statements.Run("DELETE FROM groups WHERE ephemeral = 1 AND seen_at < $0", idleSince);
        if (forgotten > 0) Log.GroupsForgotten(logger, options.Component, forgotten, options.IdleGroupTimeToLive);
    }

    // A topic without groups keeps its messages until they age: a group that subscribes for the first time gets them. Each
    // step looks at the oldest acknowledged messages only: they go first, and behind the first that is too young all are.
    private static bool DeleteAcknowledged(SqliteStatements statements, long now, TimeSpan retention)
    {
        var topics = new List<(string Name, long Done)>();
        using (SqliteDataReader reader = statements.Query("SELECT topic, min(cursor) FROM groups GROUP BY topic"))
        {
            while (reader.Read()) topics.Add((reader.GetString(0), reader.GetInt64(1)));
        }

        long before = now - (long)retention.TotalMilliseconds;
        int left = DeletedPerStep;
        foreach ((string topic, long done) in topics) left -= DeleteAcknowledged(statements, topic, done, before, left);
        return left == 0;
    }

    private static int DeleteAcknowledged(SqliteStatements statements, string topic, long done, long before, int limit) => statements.Run(
        """
        DELETE FROM messages WHERE seq IN (
            SELECT seq FROM (
                SELECT m.seq, m.published_at FROM messages m WHERE m.topic = $0 AND m.seq <= $1
                    AND NOT EXISTS (SELECT 1 FROM groups g JOIN pending p ON p.group_id = g.id AND p.seq = m.seq WHERE g.topic = $0)
                ORDER BY m.seq LIMIT $2)
            WHERE published_at <= $3)
        """, topic, done, limit, before);

    private static bool DeleteExpired(SqliteStatements statements, long now) =>
        statements.Run("DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE expires_at <= $0 AND seq NOT IN (SELECT seq FROM pending) LIMIT $1)", now, DeletedPerStep) == DeletedPerStep;

    private bool DeleteAged(SqliteStatements statements, long now)
    {
        long before = now - (long)options.AgeMax.TotalMilliseconds;
        if (statements.Scalar("SELECT published_at FROM messages ORDER BY seq LIMIT 1") is not long oldest || oldest >= before) return false;
        long last = (long)statements.Scalar("SELECT max(seq) FROM (SELECT seq, published_at FROM messages ORDER BY seq LIMIT $0) WHERE published_at < $1", DeletedPerStep, before)!;
        int deleted = DeleteThrough(statements, last, out long unacknowledged);
        Log.MessagesAged(logger, options.Component, deleted, unacknowledged, options.AgeMax);
        return deleted == DeletedPerStep;
    }

    private void JudgeSize(SqliteStatements statements)
    {
        long bytes = LiveBytes(statements);
        bool isFull = bytes > options.BytesMax;
        if (isFull == _isFull) return;
        _isFull = isFull;
        if (isFull) Log.Full(logger, options.Component, bytes, options.BytesMax);
        else Log.RoomAgain(logger, options.Component, bytes, options.BytesMax);
    }

    private static long LiveBytes(SqliteStatements statements) =>
        ((long)statements.Scalar("PRAGMA page_count")! - (long)statements.Scalar("PRAGMA freelist_count")!) * (long)statements.Scalar("PRAGMA page_size")!;

    private static int DeleteThrough(SqliteStatements statements, long last, out long unacknowledged)
    {
        long never = (long)statements.Scalar(
            "SELECT count(*) FROM messages m JOIN groups g ON g.topic = m.topic AND m.seq > g.cursor WHERE m.seq <= $0", last)!;
        unacknowledged = never + statements.Run("DELETE FROM pending WHERE seq <= $0", last);
        return statements.Run("DELETE FROM messages WHERE seq <= $0", last);
    }

    private static List<QueueDepth> Measure(SqliteStatements statements)
    {
        var depths = new List<QueueDepth>();
        using SqliteDataReader reader = statements.Query(
            """
            SELECT g.topic, g.name,
                (SELECT count(*) FROM (SELECT 1 FROM messages m WHERE m.topic = g.topic AND m.seq > g.cursor LIMIT $0))
                + (SELECT count(*) FROM (SELECT 1 FROM pending p WHERE p.group_id = g.id LIMIT $0))
            FROM groups g
            """, DepthCountedMax);
        while (reader.Read()) depths.Add(new QueueDepth(reader.GetString(0), reader.GetString(1), reader.GetInt64(2)));
        return depths;
    }
}
