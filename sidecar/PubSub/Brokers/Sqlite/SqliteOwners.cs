using System.Diagnostics;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>
/// Which processes hold leases. A process of this machine that is gone (kill -9) can be recognised at once, so that its messages
/// need not wait for their leases to end; one of another machine cannot, and there the processing timeout decides.
/// </summary>
internal static class SqliteOwners
{
    // The start time of a process is derived from the boot time and drifts a little between readings.
    private static readonly TimeSpan StartTimeTolerance = TimeSpan.FromSeconds(3);

    public static long Register(SqliteStatements statements)
    {
        using Process self = Process.GetCurrentProcess();
        return (long)statements.Scalar(
            "INSERT INTO owners(machine, pid, started_at) VALUES($0, $1, $2) RETURNING id",
            Environment.MachineName, self.Id, StartedAt(self))!;
    }

    /// <summary>Hands back what this owner still holds, and forgets it.</summary>
    public static bool Unregister(SqliteStatements statements, long owner)
    {
        Release(statements, owner);
        return true;
    }

    /// <summary>Hands back what dead processes of this machine hold; true where there was any.</summary>
    public static bool ReleaseDead(SqliteStatements statements, long self)
    {
        var dead = new List<long>();
        using (SqliteDataReader reader = statements.Query("SELECT id, pid, started_at FROM owners WHERE machine = $0 AND id <> $1", Environment.MachineName, self))
        {
            while (reader.Read())
            {
                if (!IsAlive(reader.GetInt32(1), reader.GetInt64(2))) dead.Add(reader.GetInt64(0));
            }
        }

        foreach (long owner in dead) Release(statements, owner);
        return dead.Count > 0;
    }

    private static void Release(SqliteStatements statements, long owner)
    {
        statements.Run("UPDATE pending SET due_at = 0, lease = NULL, owner = NULL WHERE owner = $0", owner);
        statements.Run("DELETE FROM owners WHERE id = $0", owner);
    }

    private static bool IsAlive(int pid, long startedAt)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return Math.Abs(StartedAt(process) - startedAt) < StartTimeTolerance.TotalMilliseconds;
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException)
        {
            return false;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return true; // it exists, and belongs to somebody else
        }
    }

    private static long StartedAt(Process process) => new DateTimeOffset(process.StartTime).ToUnixTimeMilliseconds();
}
