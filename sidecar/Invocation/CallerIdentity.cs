using System.Net;

namespace Mesh.Sidecar.Invocation;

/// <summary>What the callee learns of the caller: the two app-ids, the namespace, and the usual headers of a proxy.</summary>
internal static class CallerIdentity
{
    public const string CallerAppId = "dapr-caller-app-id";
    public const string CallerNamespace = "dapr-caller-namespace";
    public const string CalleeAppId = "dapr-callee-app-id";

    private static readonly string HostAddress = Environment.GetEnvironmentVariable("DAPR_HOST_IP") is { Length: > 0 } ip ? ip : "127.0.0.1";
    private static readonly string HostName = Dns.GetHostName();
    private static readonly string ForwardedValue = $"for={Quoted(HostAddress)};by={Quoted(HostAddress)};host={HostName}";

    /// <summary>The namespace of an app that was started without one.</summary>
    public const string DefaultNamespace = "default";

    /// <summary>Stamps a request. The app-ids replace what the caller may have sent; the proxy headers are appended.</summary>
    public static void Stamp(HttpRequestMessage request, string space, string caller, string callee)
    {
        request.Headers.TryAddWithoutValidation(CallerNamespace, space);
        request.Headers.TryAddWithoutValidation(CallerAppId, caller);
        request.Headers.TryAddWithoutValidation(CalleeAppId, callee);
        if (caller == callee) return; // a call to oneself never left this sidecar

        request.Headers.TryAddWithoutValidation("X-Forwarded-For", HostAddress);
        request.Headers.TryAddWithoutValidation("X-Forwarded-Host", HostName);
        request.Headers.TryAddWithoutValidation("Forwarded", ForwardedValue);
    }

    // RFC 7239: an IPv6 address is bracketed and quoted.
    private static string Quoted(string address) => address.Contains(':', StringComparison.Ordinal) ? $"\"[{address}]\"" : address;
}
