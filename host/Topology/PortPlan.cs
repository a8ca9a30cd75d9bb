using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Mesh.Host.Topology;

/// <summary>Where one app and its sidecar listen, all on the loopback address.</summary>
internal sealed record AppPorts(int App, int DaprHttp, int DaprGrpc);

/// <summary>A port cannot be had; the message names it, its owner and the flag that changes it.</summary>
internal sealed class PortException(string message) : Exception(message);

/// <summary>Decides every port before anything starts, and finds out then whether somebody else holds one.</summary>
internal static class PortPlan
{
    // Below the ranges from which Linux (32768), macOS and Windows (49152) hand out ports to outgoing connections, so
    // that none of those can take a port between the moment it is chosen and the moment its owner listens.
    private const int AutomaticFirst = 10_000;
    private const int AutomaticEnd = 32_000;

    /// <exception cref="PortException">A fixed port is taken, or a flag names an app that is not there.</exception>
    public static IReadOnlyDictionary<string, AppPorts> Make(RunTemplate template, HostArguments arguments)
    {
        CheckNames(template, arguments);
        var claimed = new List<Socket>();
        try
        {
            var taken = new List<string>();
            int Claim(AppTemplate app, string property, string flag, int? declared, IReadOnlyDictionary<string, int> flags)
            {
                if (flags.TryGetValue(app.AppId, out int chosen)) declared = chosen;
                else if (arguments.AutomaticPorts) declared = null;
                if (declared is not { } port) return ClaimFree(claimed);

                if (!TryClaim(port, claimed))
                {
                    taken.Add($"Port {port} ({property} of {app.AppId}) is in use. Stop what listens there, or choose another: {flag} {app.AppId}={FreeNear(port)}, or --ports auto.");
                }

                return port;
            }

            var plan = new Dictionary<string, AppPorts>(StringComparer.Ordinal);
            foreach (AppTemplate app in template.Apps)
            {
                plan[app.AppId] = new AppPorts(
                    Claim(app, "appPort", "--app-port", app.AppPort, arguments.AppPorts),
                    Claim(app, "daprHTTPPort", "--dapr-http-port", app.DaprHttpPort, arguments.DaprHttpPorts),
                    Claim(app, "daprGRPCPort", "--dapr-grpc-port", app.DaprGrpcPort, arguments.DaprGrpcPorts));
            }

            return taken.Count == 0 ? plan : throw new PortException(string.Join(Environment.NewLine, taken));
        }
        finally
        {
            foreach (Socket socket in claimed) socket.Dispose();
        }
    }

    /// <summary>A port that nobody listens on now.</summary>
    public static int Free()
    {
        var claimed = new List<Socket>();
        int port = ClaimFree(claimed);
        claimed[0].Dispose();
        return port;
    }

    private static void CheckNames(RunTemplate template, HostArguments arguments)
    {
        string? unknown = arguments.AppPorts.Keys.Concat(arguments.DaprHttpPorts.Keys).Concat(arguments.DaprGrpcPorts.Keys)
            .FirstOrDefault(id => template.Apps.All(app => app.AppId != id));
        if (unknown is not null) throw new PortException($"{template.FilePath} has no app {unknown}; it has {string.Join(", ", template.Apps.Select(app => app.AppId))}.");
    }

    private static int ClaimFree(List<Socket> claimed)
    {
        for (int attempt = 0; attempt < 1_000; attempt++)
        {
            int port = RandomNumberGenerator.GetInt32(AutomaticFirst, AutomaticEnd);
            if (TryClaim(port, claimed)) return port;
        }

        throw new PortException($"No free port found between {AutomaticFirst} and {AutomaticEnd}.");
    }

    private static int FreeNear(int port)
    {
        for (int candidate = port + 10; candidate <= 65535; candidate++)
        {
            var claimed = new List<Socket>();
            if (!TryClaim(candidate, claimed)) continue;
            claimed[0].Dispose();
            return candidate;
        }

        return Free();
    }

    private static bool TryClaim(int port, List<Socket> claimed)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            socket.Listen(1); // binding alone succeeds beside a listener on some systems
            claimed.Add(socket);
            return true;
        }
        catch (SocketException)
        {
            socket.Dispose();
            return false;
        }
    }
}
