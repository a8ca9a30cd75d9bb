using System.Text;
using Dapr;
using Dapr.Client;
using Grpc.Core;
using Mesh.Contracts;
using Mesh.Snapshots;

namespace Mesh.Hosting;

/// <summary>
/// Snapshot files through the <see cref="Components.Snapshots"/> output binding: <c>create</c>, <c>get</c> and
/// <c>delete</c> with <c>fileName</c>, as the local-storage binding has them.
/// </summary>
public sealed class BindingSnapshotBlobs(DaprClient dapr) : ISnapshotBlobs
{
    private const string FileName = "fileName";

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
}
