using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Mesh.Benchmarks.Ann;

/// <summary>FAISS in a child process (faiss_peer.py): a line of JSON asks, a line answers, arrays pass in files. One request at a time.</summary>
internal sealed class FaissPeer : IDisposable
{
    private readonly Process _process;
    private readonly string _folder;
    private int _files;

    private FaissPeer(Process process, string folder) => (_process, _folder) = (process, folder);

    public string Version { get; private set; } = "";

    /// <summary>What FAISS was compiled for, in its own words.</summary>
    public string CompileOptions { get; private set; } = "";

    /// <summary>Starts the peer.</summary>
    /// <param name="python">An interpreter.</param>
    /// <param name="faiss">Folder with the module faiss; empty = wherever the interpreter finds it.</param>
    /// <param name="folder">Where arrays are passed; it is the caller's to delete.</param>
    /// <returns>Null where there is no such interpreter or no FAISS, and why.</returns>
    public static async Task<(FaissPeer? Peer, string Fault)> StartAsync(string python, string faiss, string folder, CancellationToken cancellation)
    {
        string script = Path.Combine(AppContext.BaseDirectory, "Ann", "faiss_peer.py");
        var start = new ProcessStartInfo(python, ["-B", script]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        if (faiss.Length > 0) start.Environment["PYTHONPATH"] = faiss;
        FaissPeer peer;
        try
        {
            peer = new FaissPeer(Process.Start(start)!, folder);
        }
        catch (Win32Exception fault)
        {
            return (null, fault.Message);
        }

        try
        {
            JsonNode hello = await peer.ReadAsync(cancellation);
            (peer.Version, peer.CompileOptions) = (hello["version"]!.GetValue<string>(), hello["options"]!.GetValue<string>());
            return (peer, "");
        }
        catch (InvalidOperationException fault)
        {
            peer.Dispose();
            return (null, fault.Message);
        }
    }

    public async Task OpenAsync(AnnData data, string cache, CancellationToken cancellation)
    {
        string vectors = Write(data.Vectors), queries = Write<float>(data.Queries);
        await AskAsync(new { @do = "open", vectors, queries, dimensions = data.Dimensions, cache, key = data.Key }, cancellation);
        File.Delete(vectors);
        File.Delete(queries);
    }

    /// <summary>Loads an index from the cache, or builds it and files it there.</summary>
    /// <returns>Seconds, and whether it was in the cache.</returns>
    public async Task<(double Seconds, bool IsCached)> IndexAsync(string kind, int lists, CancellationToken cancellation)
    {
        JsonNode answer = await AskAsync(new { @do = "index", kind, lists }, cancellation);
        return (answer["seconds"]!.GetValue<double>(), answer["cached"]!.GetValue<bool>());
    }

    /// <summary>List of each row in flat-LISTS.</summary>
    public async Task<int[]> AssignmentAsync(int lists, CancellationToken cancellation)
    {
        string file = NewFile();
        await AskAsync(new { @do = "assignment", lists, file }, cancellation);
        return Read<int>(file);
    }

    public async Task FilterAsync(AnnFilterSet filters, CancellationToken cancellation)
    {
        string file = NewFile();
        await using (FileStream stream = File.Create(file))
        {
            foreach (ulong[] selector in filters.Selectors) stream.Write(MemoryMarshal.AsBytes<ulong>(selector));
        }

        await AskAsync(new { @do = "filter", name = NameOf(filters), file }, cancellation);
        File.Delete(file);
    }

    /// <summary>Microseconds that Python adds to a search.</summary>
    public async Task<double> OverheadAsync(CancellationToken cancellation) =>
        (await AskAsync(new { @do = "overhead" }, cancellation))["us"]!.GetValue<double>();

    /// <summary>Rows found for each query, -1 where there are fewer, and the seconds of all queries one after the other.</summary>
    public async Task<(int[][] Rows, double Seconds)> AnswerAsync(string index, bool isPost, AnnFilterSet filters, int k, int knob, CancellationToken cancellation)
    {
        string file = NewFile();
        JsonNode answer = await AskAsync(new { @do = "answer", index, knob, filter = NameOf(filters), k, post = isPost, file }, cancellation);
        int[][] rows = [.. Read<long>(file).Chunk(k).Select(labels => labels.Select(label => (int)label).ToArray())];
        return (rows, answer["seconds"]!.GetValue<double>());
    }

    /// <summary>Queries per second.</summary>
    public async Task<double> RunAsync(
        string index, bool isPost, AnnFilterSet filters, int k, int knob, bool isBatch, int parallelMode, double seconds, CancellationToken cancellation)
    {
        var request = new { @do = "run", index, knob, filter = NameOf(filters), k, post = isPost, batch = isBatch, parallel_mode = parallelMode, seconds };
        return (await AskAsync(request, cancellation))["qps"]!.GetValue<double>();
    }

    public void Dispose()
    {
        try
        {
            if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It ended in between.
        }

        _process.Dispose();
    }

    private static string? NameOf(AnnFilterSet filters) => filters.IsOpen ? null : filters.Percent.ToString(CultureInfo.InvariantCulture);

    private async Task<JsonNode> AskAsync(object request, CancellationToken cancellation)
    {
        await _process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(request).AsMemory(), cancellation);
        await _process.StandardInput.FlushAsync(cancellation);
        return await ReadAsync(cancellation);
    }

    private async Task<JsonNode> ReadAsync(CancellationToken cancellation)
    {
        string line = await _process.StandardOutput.ReadLineAsync(cancellation) ?? throw new InvalidOperationException("The FAISS process ended; its messages are above.");
        JsonNode answer = JsonNode.Parse(line)!;
        return answer["error"] is { } error ? throw new InvalidOperationException(error.GetValue<string>()) : answer;
    }

    private string NewFile() => Path.Combine(_folder, $"{++_files}.bin");

    private string Write<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        string file = NewFile();
        using FileStream stream = File.Create(file);
        stream.Write(MemoryMarshal.AsBytes(values));
        return file;
    }

    private static T[] Read<T>(string file)
        where T : unmanaged
    {
        byte[] bytes = File.ReadAllBytes(file);
        File.Delete(file);
        return MemoryMarshal.Cast<byte, T>(bytes).ToArray();
    }
}
