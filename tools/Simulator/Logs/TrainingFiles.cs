using System.Text.Json;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Logs;

/// <summary>
/// Writes worlds as the mesh's own training export does: items.jsonl and rows.jsonl, one message a line in protobuf JSON. Files take
/// their names when they are whole. Rows are formatted on all cores, which is most of the work, and written in their order.
/// </summary>
internal static class TrainingFiles
{
    public const string Items = "items.jsonl";
    public const string Rows = "rows.jsonl";
    private const string Unfinished = ".partial";
    private const int RowsPerBlock = 64;

    /// <exception cref="DataException">The folder cannot be written.</exception>
    public static void Write(string folder, IEnumerable<SyntheticWorld> worlds, TrainingLogOptions options, IImportProgress progress, CancellationToken cancellation)
    {
        try
        {
            Directory.CreateDirectory(folder);
            using (FileStream items = Open(folder, Items), rows = Open(folder, Rows))
            {
                foreach (SyntheticWorld world in worlds)
                {
                    WriteLines(items, world.Items().Select(ToItem), (json, item) => json.WriteRawValue(JsonFormatter.Default.Format(item)), cancellation);
                    progress.Begin(world.Name, options.Requests);
                    WriteLines(rows, TrainingLog.Of(world, options).Select(row => Counted(row, progress)), RowJson.Write, cancellation);
                }
            }

            foreach (string name in (string[])[Items, Rows]) File.Move(Path.Combine(folder, name + Unfinished), Path.Combine(folder, name), overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{folder} cannot be written: {exception.Message}", exception);
        }
    }

    private static FileStream Open(string folder, string name) => new(Path.Combine(folder, name + Unfinished), FileMode.Create, FileAccess.Write);

    private static void WriteLines<T>(FileStream file, IEnumerable<T> messages, Action<Utf8JsonWriter, T> write, CancellationToken cancellation)
    {
        ParallelQuery<MemoryStream> blocks = messages.Chunk(RowsPerBlock).AsParallel().AsOrdered()
            .WithMergeOptions(ParallelMergeOptions.NotBuffered).WithCancellation(cancellation).Select(block => Format(block, write));
        foreach (MemoryStream block in blocks) block.WriteTo(file);
    }

    private static MemoryStream Format<T>(T[] messages, Action<Utf8JsonWriter, T> write)
    {
        var lines = new MemoryStream();
        using var json = new Utf8JsonWriter(lines);
        foreach (T message in messages)
        {
            write(json, message);
            json.Flush();
            json.Reset();
            lines.WriteByte((byte)'\n');
        }

        return lines;
    }

    private static TrainingRow Counted(TrainingRow row, IImportProgress progress)
    {
        progress.Advance(1);
        return row;
    }

    // As the gateway makes an item of its body.
    private static Contracts.Item ToItem(ItemBody body)
    {
        var item = new Contracts.Item
        {
            ItemId = body.ItemId, AuthorId = body.AuthorId, Text = body.Text, Tags = { body.Tags }, CreatedAtMs = body.CreatedAt ?? 0, Language = body.Language ?? "",
            DurationMs = body.DurationMs ?? 0,
        };
        foreach ((string key, string value) in body.Attributes ?? new Dictionary<string, string>()) item.Attributes[key] = value;
        return item;
    }
}
