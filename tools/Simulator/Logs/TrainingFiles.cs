using System.Text;
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
            using (StreamWriter items = Open(folder, Items), rows = Open(folder, Rows))
            {
                foreach (SyntheticWorld world in worlds)
                {
                    WriteLines(items, world.Items().Select(ToItem), cancellation);
                    progress.Begin(world.Name, options.Requests);
                    WriteLines(rows, TrainingLog.Of(world, options).Select(row => Counted(row, progress)), cancellation);
                }
            }

            foreach (string name in (string[])[Items, Rows]) File.Move(Path.Combine(folder, name + Unfinished), Path.Combine(folder, name), overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{folder} cannot be written: {exception.Message}", exception);
        }
    }

    private static StreamWriter Open(string folder, string name) =>
        new(Path.Combine(folder, name + Unfinished), append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), bufferSize: 1 << 20) { NewLine = "\n" };

    private static void WriteLines(StreamWriter file, IEnumerable<IMessage> messages, CancellationToken cancellation)
    {
        ParallelQuery<string> blocks = messages.Chunk(RowsPerBlock).AsParallel().AsOrdered().WithMergeOptions(ParallelMergeOptions.NotBuffered).Select(Format);
        foreach (string block in blocks.WithCancellation(cancellation)) file.Write(block);
    }

    private static string Format(IMessage[] messages)
    {
        var text = new StringWriter { NewLine = "\n" };
        foreach (IMessage message in messages)
        {
            JsonFormatter.Default.Format(message, text);
            text.WriteLine();
        }

        return text.ToString();
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
