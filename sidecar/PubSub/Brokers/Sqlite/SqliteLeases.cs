namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>Outcome of taking messages.</summary>
/// <param name="NextDueAt">With none taken: when the next pending message may be, Unix milliseconds; null = none is pending.</param>
/// <param name="GroupId">Another than before where the group had been forgotten and was made anew.</param>
internal readonly record struct Taken(int Count, long? NextDueAt, long GroupId);

/// <summary>What consumers do to groups and pending messages. Runs inside the writer's transactions.</summary>
internal static class SqliteLeases
{
    // One batch is one request to the app, and lies in memory.
    private const long BytesMax = 16 * 1024 * 1024;

    public static long Join(SqliteStatements statements, string topic, ConsumerGroup group, long now)
    {
        string cursor = group.StartsAtLatest ? "SELECT coalesce(max(seq), 0) FROM messages WHERE topic = $0" : "SELECT 0";
        statements.Run(
            $"INSERT INTO groups(topic, name, cursor, ephemeral, seen_at) VALUES($0, $1, ({cursor}), $2, $3) ON CONFLICT(topic, name) DO UPDATE SET seen_at = $3",
            topic, group.Name, group.Ephemeral ? 1 : 0, now);
        return (long)statements.Scalar("SELECT id FROM groups WHERE topic = $0 AND name = $1", topic, group.Name)!;
    }

    /// <summary>Leases messages that are due again first, oldest first, then new ones in publish order.</summary>
    public static Taken Take(
        SqliteStatements statements, string topic, ConsumerGroup group, long groupId, long lease, long owner, int messagesMax, long now, long deadline)
    {
        if (statements.Scalar("SELECT cursor FROM groups WHERE id = $0", groupId) is not long cursor)
        {
            groupId = Join(statements, topic, group, now);
            cursor = (long)statements.Scalar("SELECT cursor FROM groups WHERE id = $0", groupId)!;
        }

        int taken = statements.Run(
            """
            UPDATE pending SET lease = $0, owner = $1, due_at = $2, attempts = attempts + 1
            WHERE group_id = $3 AND seq IN (SELECT seq FROM pending WHERE group_id = $3 AND due_at <= $4 ORDER BY seq LIMIT $5)
            """, lease, owner, deadline, groupId, now, messagesMax);
        if (taken < messagesMax)
        {
            // length(data) reads the head of a row, not the body: a thousand large messages took 468 ms here, and take 3.
            int fresh = statements.Run(
                """
                INSERT INTO pending(group_id, seq, lease, owner, due_at, attempts)
                SELECT $0, seq, $1, $2, $3, 1 FROM (
                    SELECT seq, bytes, sum(bytes) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS total
                    FROM (SELECT seq, length(data) AS bytes FROM messages WHERE topic = $4 AND seq > $5 ORDER BY seq LIMIT $6))
                WHERE total - bytes < $7
                """, groupId, lease, owner, deadline, topic, cursor, messagesMax - taken, BytesMax);
            if (fresh > 0) statements.Run("UPDATE groups SET cursor = (SELECT max(seq) FROM pending WHERE group_id = $0) WHERE id = $0", groupId);
            taken += fresh;
        }

        long? nextDueAt = taken > 0 ? null : (long?)statements.Scalar("SELECT min(due_at) FROM pending WHERE group_id = $0", groupId);
        return new Taken(taken, nextDueAt, groupId);
    }

    /// <param name="ids">Ascending.</param>
    /// <param name="all">They are all that the lease still holds.</param>
    public static void Settle(SqliteStatements statements, long groupId, long lease, long[] ids, bool all, Settlement settlement, long dueAt)
    {
        if (all)
        {
            // One statement for a whole bulk. A message whose lease was lost to another consumer is left to that one.
            if (settlement == Settlement.Acknowledge)
            {
                statements.Run(
                    "DELETE FROM pending WHERE group_id = $0 AND seq BETWEEN $1 AND $2 AND lease = $3", groupId, ids[0], ids[^1], lease);
                return;
            }

            statements.Run(
                "UPDATE pending SET lease = NULL, owner = NULL, due_at = $0, attempts = attempts - $1 WHERE group_id = $2 AND seq BETWEEN $3 AND $4 AND lease = $5",
                dueAt, settlement == Settlement.Release ? 1 : 0, groupId, ids[0], ids[^1], lease);
            return;
        }

        foreach (long id in ids)
        {
            if (settlement == Settlement.Acknowledge)
            {
                statements.Run("DELETE FROM pending WHERE group_id = $0 AND seq = $1 AND lease = $2", groupId, id, lease);
                continue;
            }

            statements.Run(
                "UPDATE pending SET lease = NULL, owner = NULL, due_at = $0, attempts = attempts - $1 WHERE group_id = $2 AND seq = $3 AND lease = $4",
                dueAt, settlement == Settlement.Release ? 1 : 0, groupId, id, lease);
        }
    }

    public static bool Renew(SqliteStatements statements, long groupId, long lease, long deadline) =>
        statements.Run("UPDATE pending SET due_at = $0 WHERE group_id = $1 AND lease = $2", deadline, groupId, lease) > 0;

    public static bool Release(SqliteStatements statements, long groupId, long lease) =>
        statements.Run(
            "UPDATE pending SET lease = NULL, owner = NULL, due_at = 0, attempts = attempts - 1 WHERE group_id = $0 AND lease = $1", groupId, lease) > 0;
}
