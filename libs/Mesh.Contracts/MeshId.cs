namespace Mesh.Contracts;

/// <summary>
/// Rules for ids. User, item and author ids are 1-128 characters of <c>[A-Za-z0-9._:@~=-]</c>: safe in URLs, in actor ids
/// and in state keys (Dapr forbids "||" there). Event and request ids are ULIDs.
/// </summary>
public static class MeshId
{
    public const string Rule = "1-128 characters of A-Z a-z 0-9 . _ : @ ~ = -";

    public static bool IsValid(string? id) => id is { Length: > 0 and <= Limits.IdLengthMax } && id.All(IsAllowed) && id is not ("." or "..");

    /// <summary>26 characters of Crockford's base 32, at most 128 bits. (The Ulid package's own parser takes any 26 characters.)</summary>
    public static bool IsUlid(string? id) => id is { Length: 26 } && id[0] is >= '0' and <= '7' && id.All(IsCrockford);

    private static bool IsCrockford(char c) => char.IsAsciiLetterOrDigit(c) && char.ToUpperInvariant(c) is not ('I' or 'L' or 'O' or 'U');

    private static bool IsAllowed(char c) => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or ':' or '@' or '~' or '=' or '-';
}
