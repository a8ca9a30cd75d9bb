using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>Which actor: type and id, decoded.</summary>
internal readonly record struct ActorKey(string Type, string Id)
{
    /// <summary>The form that Dapr's messages and state keys have.</summary>
    public override string ToString() => $"{Type}||{Id}";

    /// <summary>The app's path of this actor, encoded.</summary>
    public string AppPath => $"/actors/{Uri.EscapeDataString(Type)}/{Uri.EscapeDataString(Id)}";

    /// <summary>Checks a type, an id or a name: it becomes one segment of a path, so that it must not hold what ends one.</summary>
    /// <exception cref="DaprApiException">400: it holds a forbidden character, or is empty.</exception>
    public static string Checked(string what, string value)
    {
        const int lengthMax = 1_024;
        if (value.Length == 0) throw ActorErrors.BadRequest($"invalid {what}: it is empty");
        if (value.Length > lengthMax) throw ActorErrors.BadRequest($"invalid {what}: {value.Length} characters, at most {lengthMax}");
        if (value.AsSpan().ContainsAny("#?/\\") || value is "." or "..") throw ActorErrors.BadRequest($"invalid {what}: name contains forbidden character: \"{value}\"");

        foreach (char letter in value)
        {
            if (char.IsControl(letter)) throw ActorErrors.BadRequest($"invalid {what}: name contains control character: \"{value}\"");
        }

        return value;
    }
}
