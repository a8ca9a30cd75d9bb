using System.Globalization;
using Mesh.Simulator.Files;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;

namespace Mesh.Simulator.KuaiRand;

/// <summary>
/// KuaiRand logs of a short-video feed. A video is an item <c>kr:v{video_id}</c> of author <c>kr:a{author_id}</c>, created on its upload
/// date; its text is what is known of it (type and tags), its tags are KuaiRand's tag numbers. A row is one exposure, and each of
/// its signals that is set becomes one action of the user <c>kr:u{user_id}</c>; a row without any gives no event. Rows are streamed.
/// </summary>
public sealed class KuaiRandDataSet : IDataSet
{
    private readonly IReadOnlyList<string> _logPaths;
    private readonly string _videosPath;
    private readonly int? _rowsMax;

    private KuaiRandDataSet(IReadOnlyList<string> logPaths, string videosPath, int? rowsMax)
    {
        _logPaths = logPaths;
        _videosPath = videosPath;
        _rowsMax = rowsMax;
    }

    public string Name => "KuaiRand";

    public int? ItemCount => null;

    public int? FollowCount => 0;

    public int? EventCount => null;

    /// <param name="rowsMax">Only the first so many rows of the log, and only the videos they name; null = all of both.</param>
    /// <exception cref="DataException">A file is missing.</exception>
    public static KuaiRandDataSet Open(string folder, int? rowsMax = null) =>
        new(FindByPrefix(folder, "log_standard"), FindByPrefix(folder, "video_features_basic")[0], rowsMax);

    /// <summary>When the last row was logged: reads the log once.</summary>
    public DateTimeOffset LastEventAt() => DateTimeOffset.FromUnixTimeMilliseconds(Rows().Select(row => row.Integer("time_ms")).DefaultIfEmpty().Max());

    public IEnumerable<ItemBody> Items()
    {
        HashSet<long>? wanted = _rowsMax is null ? null : [.. Rows().Select(row => row.Integer("video_id"))];
        return Table.Csv(_videosPath).Where(row => wanted is null || wanted.Contains(row.Integer("video_id"))).Select(ToItem);
    }

    public IEnumerable<FollowBody> Follows() => [];

    public IEnumerable<EventBody> Events() => Rows().SelectMany(ToEvents);

    private IEnumerable<Row> Rows()
    {
        IEnumerable<Row> rows = _logPaths.SelectMany(Table.Csv);
        return _rowsMax is { } max ? rows.Take(max) : rows;
    }

    private static ItemBody ToItem(Row row)
    {
        string[] tags = [.. row.Text("tag").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(tag => $"tag{tag}")];
        string uploadType = row.Text("upload_type");
        DateTimeOffset? uploaded = DateTimeOffset.TryParseExact(
            row.Text("upload_dt"), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset date) ? date : null;
        var attributes = new Dictionary<string, string> { ["kind"] = "video" };
        if (row.Text("video_type") is { Length: > 0 } type) attributes["videoType"] = type;
        if (uploadType.Length > 0) attributes["uploadType"] = uploadType;
        return new ItemBody
        {
            ItemId = $"kr:v{Id(row, "video_id")}",
            AuthorId = $"kr:a{Id(row, "author_id")}",
            Text = $"{uploadType} video {string.Join(' ', tags)}".Trim(),
            Tags = tags,
            CreatedAt = uploaded?.ToUnixTimeMilliseconds(),
            DurationMs = row.Text("video_duration").Length == 0 ? null : (long)row.Number("video_duration"),
            Attributes = attributes,
        };
    }

    private static IEnumerable<EventBody> ToEvents(Row row)
    {
        long time = row.Integer("time_ms");
        string user = $"kr:u{Id(row, "user_id")}";
        string item = $"kr:v{Id(row, "video_id")}";
        foreach ((string action, float? value) in Actions(row))
        {
            yield return new EventBody
            {
                // Exact duplicates of a row give the same ids again.
                EventId = EventIds.Make(time, "kuairand", user, item, action),
                UserId = user,
                ItemId = item,
                Action = action,
                Time = time,
                Value = value,
                Surface = $"kuairand-tab{Id(row, "tab")}",
            };
        }
    }

    private static IEnumerable<(string Action, float? Value)> Actions(Row row)
    {
        long playMs = row.Integer("play_time_ms");
        long durationMs = row.Integer("duration_ms");
        if (row.Flag("is_click")) yield return ("click", null);
        if (row.Flag("long_view")) yield return ("dwell", playMs / 1000f);
        if (durationMs > 0 && playMs >= durationMs) yield return ("video_complete", null);
        if (row.Flag("is_like")) yield return ("like", null);
        if (row.Flag("is_follow")) yield return ("follow_author", null);
        if (row.Flag("is_comment")) yield return ("reply", null);
        if (row.Flag("is_forward")) yield return ("share", null);
        if (row.Flag("is_profile_enter")) yield return ("profile_click", null);
        if (row.Flag("is_hate")) yield return ("not_interested", null);
    }

    private static string Id(Row row, string column) => row.Integer(column).ToString(CultureInfo.InvariantCulture);

    // The files carry dates and the variant in their names (log_standard_4_22_to_5_08_pure.csv, video_features_basic_1k.csv, ...):
    // name order is time order. A file that is there plain and compressed counts once.
    private static string[] FindByPrefix(string folder, string prefix)
    {
        string[] found = Directory.Exists(folder)
            ? [.. Directory.EnumerateFiles(folder, $"{prefix}*").Where(path => path.EndsWith(".csv", StringComparison.Ordinal) || path.EndsWith(".csv.xz", StringComparison.Ordinal))]
            : [];
        if (found.Length == 0) throw new DataException($"{folder} holds no {prefix}*.csv and no {prefix}*.csv.xz.");

        return [.. found.Where(path => !path.EndsWith(".xz", StringComparison.Ordinal) || !found.Contains(path[..^3])).Order(StringComparer.Ordinal)];
    }
}
