using System.Text.Json;
using System.Text.RegularExpressions;

namespace Mesh.Gateway.Edge;

/// <summary>
/// Why a call was refused, out of the body of the answer: the <c>detail</c> of a service's problem, or the
/// <c>{"errorCode","message"}</c> of a sidecar that could not reach it. The body may be cut off, so it is searched rather than parsed.
/// </summary>
internal static partial class RefusalReason
{
    private const int SearchedMax = 2_000;
    private const int MessageMax = 160;

    /// <summary>": " and the reason, or "." where the body holds none.</summary>
    public static string Of(string body)
    {
        string searched = body.Length > SearchedMax ? body[..SearchedMax] : body;
        if (Text(ProblemDetail().Match(searched)) is { } detail) return $": {detail}";
        if (Text(ErrorCode().Match(searched)) is not { } code) return ".";
        return Text(Message().Match(searched)) is { Length: > 0 } message ? $": {code}: {Shorten(WithoutIds(message))}" : $": {code}.";
    }

    private static string? Text(Match match)
    {
        if (!match.Success) return null;
        try
        {
            return JsonSerializer.Deserialize<string>($"\"{match.Groups[1].Value}\"");
        }
        catch (JsonException)
        {
            return null; // cut off in the middle of an escape
        }
    }

    // A sidecar may quote the URL that it called, and the reason goes to other users' operators.
    private static string WithoutIds(string message) => IdInPath().Replace(message, "$1/...");

    private static string Shorten(string message) => message.Length > MessageMax ? $"{message[..MessageMax]}..." : message;

    [GeneratedRegex("\"detail\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex ProblemDetail();

    [GeneratedRegex("\"errorCode\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.){1,100})\"", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex ErrorCode();

    // Without the closing quote: it may have been cut off.
    [GeneratedRegex("\"message\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Message();

    [GeneratedRegex("(users|items)/[^/?\\s\"'\\\\]+", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex IdInPath();
}
