using System.Text.Json;

namespace Mesh.Host.Data;

/// <summary>What runs where, as <c>run.json</c> in the data directory tells tools and tests.</summary>
/// <param name="Pid">Process id of the host.</param>
/// <param name="GatewayUrl">Base address of the public API; empty where the template has no gateway.</param>
internal sealed record RunState(int Pid, DateTimeOffset StartedAt, string GatewayUrl, string DataDirectory, IReadOnlyList<RunApp> Apps);

/// <summary>One app of a run. Times tell a process from a later one that got its id.</summary>
/// <param name="Pid">Process id; 0 while it is down or where the host did not start it.</param>
/// <param name="ProcessStartedAt">When the operating system says that process began.</param>
/// <param name="Ready">Whether its readiness check has passed since its last start.</param>
/// <param name="DaprdPid">Process id of its daprd; 0 with embedded sidecars.</param>
internal sealed record RunApp(
    string AppId, int Pid, DateTimeOffset? ProcessStartedAt, string Url, int DaprHttpPort, int DaprGrpcPort, bool Ready, int DaprdPid, DateTimeOffset? DaprdStartedAt);

/// <summary><c>run.json</c>: replaced as a whole on every change, so that a reader sees one state or the next, never half of one.</summary>
internal sealed class RunFile(string path)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };
    private readonly Lock _gate = new();
    private bool _deleted;

    public string FilePath => path;

    /// <summary>What a host that did not end cleanly left; null where there is nothing to read.</summary>
    public RunState? ReadLeftover()
    {
        try
        {
            return JsonSerializer.Deserialize<RunState>(File.ReadAllBytes(path), Json);
        }
        catch (Exception exception) when (exception is IOException or JsonException)
        {
            return null;
        }
    }

    /// <param name="read">Reads the state to write. Called with the file in hand: of two changes at once, the later write
    /// must not carry the older state.</param>
    public void Write(Func<RunState> read)
    {
        lock (_gate)
        {
            if (_deleted) return; // a late change of an app must not bring the file of a stopped host back
            RunState state = read();
            string temporary = path + ".new";
            File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(state, Json));
            File.Move(temporary, path, overwrite: true);
        }
    }

    public void Delete()
    {
        lock (_gate)
        {
            _deleted = true;
            File.Delete(path);
        }
    }
}
