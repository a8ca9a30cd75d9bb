using System.Text;
using System.Text.Json;
using Dapr;
using Dapr.Client;
using Grpc.Core;
using Mesh.Contracts;
using Mesh.Snapshots;

namespace Mesh.Hosting;

/// <summary>
/// Snapshot files through the <see cref="Components.Snapshots"/> output binding: <c>create</c>, <c>get</c> and
/// <c>delete</c> with <c>fileName</c>, as the local-storage binding has them. That binding's <c>list</c> tells where its files lie: where
/// this process can read them itself, files are opened as mapped memory and do not pass through the sidecar.
/// </summary>
public sealed class BindingSnapshotBlobs(DaprClient dapr) : ISnapshotBlobs
{
    private const string FileName = "fileName";

    private volatile Found? _local; // null until it was looked for

    public async Task PutAsync(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        // The binding unquotes what looks like a JSON string and decodes what looks like base64. Sent as base64, always,
        // the content cannot be mistaken for either.
        byte[] base64 = Encoding.ASCII.GetBytes(Convert.ToBase64String(bytes.Span));
        await dapr.InvokeBindingAsync(Request("create", name, base64), cancellation);
    }

    public async Task<byte[]?> GetAsync(string name, CancellationToken cancellation)
    {
        try
        {
            BindingResponse response = await dapr.InvokeBindingAsync(Request("get", name, default), cancellation);
            return response.Data.ToArray();
        }
        catch (DaprException exception) when (IsMissing(exception))
        {
            return null;
        }
    }

    public async Task<SnapshotBytes?> OpenAsync(string name, CancellationToken cancellation)
    {
        DirectorySnapshotBlobs? local = (_local ??= new Found(await FindLocalAsync(name, cancellation))).Files;
        if (local is not null && await TryOpenAsync(local, name, cancellation) is { } mapped) return mapped;
        return await GetAsync(name, cancellation) is { } bytes ? new SnapshotBytes(bytes) : null;
    }

    public async Task DeleteAsync(string name, CancellationToken cancellation)
    {
        try
        {
            await dapr.InvokeBindingAsync(Request("delete", name, default), cancellation);
        }
        catch (DaprException exception) when (IsMissing(exception))
        {
            // Deleted before, by an attempt that was cut short.
        }
    }

    private async Task<DirectorySnapshotBlobs?> FindLocalAsync(string name, CancellationToken cancellation)
    {
        try
        {
            BindingResponse response = await dapr.InvokeBindingAsync(Request("list", name[..Math.Max(0, name.LastIndexOf('/'))], default), cancellation);
            return LocalSnapshotRoot.Find(response.Data.Span, name) is { } root ? new DirectorySnapshotBlobs(root) : null;
        }
        catch (DaprException)
        {
            return null; // a store without list, or one that is not a folder: its get answers
        }
    }

    private static async Task<SnapshotBytes?> TryOpenAsync(DirectorySnapshotBlobs local, string name, CancellationToken cancellation)
    {
        try
        {
            return await local.OpenAsync(name, cancellation);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static BindingRequest Request(string operation, string name, ReadOnlyMemory<byte> data)
    {
        var request = new BindingRequest(Components.Snapshots, operation) { Data = data };
        request.Metadata[FileName] = name;
        return request;
    }

    // The binding has no status for "no such file": get says "file not found", delete passes on the system's words.
    private static bool IsMissing(DaprException exception) =>
        exception.InnerException is RpcException { Status.Detail: var detail }
        && (detail.Contains("file not found", StringComparison.OrdinalIgnoreCase) || detail.Contains("no such file", StringComparison.OrdinalIgnoreCase));

    private sealed record Found(DirectorySnapshotBlobs? Files);
}

/// <summary>Where a local-storage binding keeps its files, by what its <c>list</c> answers: the paths of the files in a folder.</summary>
public static class LocalSnapshotRoot
{
    /// <summary>The folder above <paramref name="name"/> where the list has it and this process finds it there; null otherwise.</summary>
    /// <param name="list">JSON: an array of absolute paths, or null. Anything else is a store of another kind.</param>
    public static string? Find(ReadOnlySpan<byte> list, string name)
    {
        try
        {
            string suffix = $"/{name}";
            string? path = JsonSerializer.Deserialize<string[]>(list)?.FirstOrDefault(file => file?.EndsWith(suffix, StringComparison.Ordinal) == true);
            return path is not null && Path.IsPathFullyQualified(path) && File.Exists(path) ? path[..^suffix.Length] : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
