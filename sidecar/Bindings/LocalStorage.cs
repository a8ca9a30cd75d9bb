using System.Text.Json;
using Mesh.Sidecar.Components;

namespace Mesh.Sidecar.Bindings;

/// <summary>
/// <c>bindings.localstorage</c>: files under one root. A file is written beside its place, flushed to disk, and renamed
/// over it, so that a reader, and a restart after a crash, sees the old content or the new, never a part.
/// </summary>
public sealed class LocalStorage : IOutputBinding
{
    private const string IncompletePrefix = ".incomplete-";
    private static readonly TimeSpan LeftoverAge = TimeSpan.FromHours(1);
    private static readonly string[] DisallowedRoots = ["/proc", "/sys", "/boot", "/var/run/secrets"];

    private readonly string _root;

    private LocalStorage(string root) => _root = root;

    public IReadOnlyList<string> Operations { get; } = ["create", "get", "list", "delete"];

    /// <summary>Opens the root, making it where it does not exist, and removes what a crash left half-written.</summary>
    /// <exception cref="ComponentException">There is no root, or it cannot be used.</exception>
    public static LocalStorage Open(ComponentDefinition component, string dataDirectory, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(component);
        ArgumentNullException.ThrowIfNull(clock);
        string given = component.Find("rootPath") ?? throw component.Invalid("rootPath", "", "set to a folder");
        string root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(given, Path.GetFullPath(dataDirectory)));
        try
        {
            Directory.CreateDirectory(root);
            root = new DirectoryInfo(root).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? root;
            if (DisallowedRoots.Any(place => root == place || root.StartsWith(place + "/", StringComparison.Ordinal)))
            {
                throw component.Invalid("rootPath", given, "elsewhere: the system's own folders are not for storage");
            }

            RemoveLeftovers(root, clock.GetUtcNow() - LeftoverAge);
            return new LocalStorage(root);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ComponentException($"Component {component.Name} ({component.Type}, {component.Source}): {root} cannot be used: {error.Message}", error);
        }
    }

    public async Task<BindingResponse?> InvokeAsync(BindingRequest request, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        string name = request.Metadata.GetValueOrDefault("fileName") ?? "";
        if (name.Length == 0 && request.Operation == "create") name = Guid.NewGuid().ToString();
        string path = RootedPath.Join(_root, name);
        try
        {
            return request.Operation switch
            {
                "create" => await CreateAsync(path, BindingPayload.Decode(request.Data), cancellation),
                "get" => await GetAsync(path, cancellation),
                "list" => List(path),
                "delete" => Delete(path),
                _ => throw new BindingException($"unsupported operation {request.Operation}"),
            };
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BindingException($"error on {request.Operation} of file {path}: {error.Message}", error);
        }
    }

    private static void RemoveLeftovers(string root, DateTimeOffset before)
    {
        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint };
        foreach (string file in Directory.EnumerateFiles(root, IncompletePrefix + "*", options))
        {
            // A young one may belong to another sidecar over the same folder that is just writing it.
            if (File.GetLastWriteTimeUtc(file) < before.UtcDateTime) File.Delete(file);
        }
    }

    private async Task<BindingResponse> CreateAsync(string path, ReadOnlyMemory<byte> data, CancellationToken cancellation)
    {
        if (path == _root) throw new BindingException("the file name is the root itself");

        string folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        string incomplete = Path.Combine(folder, IncompletePrefix + Guid.NewGuid().ToString("N"));
        try
        {
            await using (var file = new FileStream(incomplete, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                await file.WriteAsync(data, cancellation);
                file.Flush(flushToDisk: true);
            }

            File.Move(incomplete, path, overwrite: true);
        }
        catch
        {
            File.Delete(incomplete);
            throw;
        }

        string relative = Path.GetRelativePath(_root, path);
        return new BindingResponse(JsonSerializer.SerializeToUtf8Bytes(new Created(relative), JsonSerializerOptions.Web));
    }

    private static async Task<BindingResponse> GetAsync(string path, CancellationToken cancellation) => File.Exists(path)
        ? new BindingResponse(await File.ReadAllBytesAsync(path, cancellation))
        : throw new BindingException(Directory.Exists(path) ? $"error reading file {path}: it is a directory" : $"file not found: {path}");

    private static BindingResponse List(string path)
    {
        if (File.Exists(path)) throw new BindingException($"unable to list files as the file specified is not a directory: {path}");
        if (!Directory.Exists(path)) throw new BindingException($"error getting stats for path {path}: no such file or directory");

        List<string> files = [.. Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)
            .Where(file => !Path.GetFileName(file).StartsWith(IncompletePrefix, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)];
        // Go writes an empty list as null, which is what a client of Dapr's binding has to expect.
        return new BindingResponse(files.Count == 0 ? "null"u8.ToArray() : JsonSerializer.SerializeToUtf8Bytes(files));
    }

    private BindingResponse? Delete(string path)
    {
        if (path == _root) throw new BindingException("the file name is missing");
        if (Directory.Exists(path)) Directory.Delete(path); // an empty one, as Dapr's does
        else if (File.Exists(path)) File.Delete(path);
        else throw new BindingException($"error deleting file {path}: no such file or directory");
        return null;
    }

    private sealed record Created(string FileName);
}
