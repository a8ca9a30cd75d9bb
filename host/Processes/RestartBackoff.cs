namespace Mesh.Host.Processes;

/// <summary>How long to wait before a dead process is started again: 200 ms, doubling to 5 s, from the start again after 30 s up.</summary>
internal sealed class RestartBackoff
{
    public static readonly TimeSpan First = TimeSpan.FromMilliseconds(200);
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(5);
    public static readonly TimeSpan Forgiven = TimeSpan.FromSeconds(30);

    private TimeSpan _next = First;

    /// <param name="uptime">How long the process ran before it died.</param>
    public TimeSpan Next(TimeSpan uptime)
    {
        if (uptime >= Forgiven) _next = First;
        TimeSpan delay = _next;
        _next = _next * 2 < Longest ? _next * 2 : Longest;
        return delay;
    }
}
