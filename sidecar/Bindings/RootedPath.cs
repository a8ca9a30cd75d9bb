namespace Mesh.Sidecar.Bindings;

/// <summary>
/// Joins a caller's file name to a root so that the result cannot lie outside it: <c>..</c> stops at the root, and links
/// on the way are followed as if the root were the whole file system.
/// </summary>
internal static class RootedPath
{
    private const int LinksMax = 255;

    /// <exception cref="BindingException">Links run in a circle.</exception>
    public static string Join(string root, string name)
    {
        var pending = new Stack<string>();
        Push(pending, name);
        string current = root;
        int links = 0;
        while (pending.TryPop(out string? part))
        {
            if (part is "" or ".") continue;
            if (part == "..")
            {
                current = current.Length > root.Length ? Path.GetDirectoryName(current)! : root;
                continue;
            }

            string next = Path.Combine(current, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                current = next;
                continue;
            }

            if (++links > LinksMax) throw new BindingException($"too many links in {name}");
            if (Path.IsPathRooted(target)) current = root;
            Push(pending, target);
        }

        return current;
    }

    private static void Push(Stack<string> pending, string path)
    {
        foreach (string part in path.Split(['/', Path.DirectorySeparatorChar]).Reverse()) pending.Push(part);
    }
}
