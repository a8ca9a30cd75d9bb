using System.Globalization;
using System.Text.RegularExpressions;
using Mesh.Simulator.Files;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;

namespace Mesh.Simulator.MovieLens;

/// <summary>
/// MovieLens (ratings.csv + movies.csv, or ratings.dat + movies.dat) as a feed. A movie is an item <c>ml:m{movieId}</c>: text = its
/// title, tags = its genres, created when it was first rated. Movies have no author, and a single studio would say nothing of
/// taste; the author is the first genre and decade, <c>genre:Drama:1990s</c>. A rating of 4 or more is a like, 3 to 3.5 a click,
/// less a not_interested; value = the rating. Users are <c>ml:u{userId}</c>.
/// </summary>
public sealed partial class MovieLensDataSet : IDataSet
{
    private readonly string _moviesPath;
    private readonly Rating[] _ratings;

    private MovieLensDataSet(string moviesPath, Rating[] ratings)
    {
        _moviesPath = moviesPath;
        _ratings = ratings;
    }

    public string Name => "MovieLens";

    public int? ItemCount => null;

    public int? FollowCount => 0;

    public int? EventCount => _ratings.Length;

    /// <summary>When the last rating was given.</summary>
    public DateTimeOffset LastEventAt => DateTimeOffset.FromUnixTimeMilliseconds(_ratings.Length == 0 ? 0 : _ratings[^1].TimeMs);

    /// <summary>Reads the ratings of a folder; they are sorted by time, so they are held in memory (24 bytes each).</summary>
    /// <param name="rowsMax">Only the first so many ratings by time, and only the movies they name; null = all of both.</param>
    /// <exception cref="DataException">A file is missing or a line cannot be read.</exception>
    public static MovieLensDataSet Open(string folder, int? rowsMax = null)
    {
        string ratingsPath = DataFile.Find(folder, "ratings.csv", "ratings.dat");
        IEnumerable<Row> rows = IsCsv(ratingsPath) ? Table.Csv(ratingsPath) : Table.DoubleColon(ratingsPath, "userId", "movieId", "rating", "timestamp");
        Rating[] ratings =
        [
            .. rows.Select(row => new Rating((int)row.Integer("userId"), (int)row.Integer("movieId"), (float)row.Number("rating"), row.Integer("timestamp") * 1000))
                .OrderBy(rating => rating.TimeMs).ThenBy(rating => rating.User).ThenBy(rating => rating.Movie),
        ];
        return new MovieLensDataSet(DataFile.Find(folder, "movies.csv", "movies.dat"), rowsMax < ratings.Length ? ratings[..rowsMax.Value] : ratings) { Partial = rowsMax is not null };
    }

    private bool Partial { get; init; }

    public IEnumerable<ItemBody> Items()
    {
        var firstRated = new Dictionary<int, long>();
        foreach (Rating rating in _ratings) firstRated.TryAdd(rating.Movie, rating.TimeMs);
        long fallback = _ratings.Length == 0 ? 0 : _ratings[0].TimeMs;

        IEnumerable<Row> rows = IsCsv(_moviesPath) ? Table.Csv(_moviesPath) : Table.DoubleColon(_moviesPath, "movieId", "title", "genres");
        foreach (Row row in rows)
        {
            int movie = (int)row.Integer("movieId");
            if (Partial && !firstRated.ContainsKey(movie)) continue;
            yield return ToItem(movie, row.Text("title"), row.Text("genres"), firstRated.GetValueOrDefault(movie, fallback));
        }
    }

    public IEnumerable<FollowBody> Follows() => [];

    public IEnumerable<EventBody> Events() => _ratings.Select(rating =>
    {
        string user = $"ml:u{rating.User.ToString(CultureInfo.InvariantCulture)}";
        string item = ItemId(rating.Movie);
        return new EventBody
        {
            EventId = EventIds.Make(rating.TimeMs, "movielens", user, item),
            UserId = user,
            ItemId = item,
            Action = ActionOf(rating.Value),
            Time = rating.TimeMs,
            Value = rating.Value,
            Surface = "movielens",
        };
    });

    internal static string ActionOf(float rating) => rating >= 4 ? "like" : rating >= 3 ? "click" : "not_interested";

    private static ItemBody ToItem(int movie, string title, string genreList, long createdAt)
    {
        string[] genres = [.. genreList.Split('|', StringSplitOptions.RemoveEmptyEntries).Where(genre => genre != "(no genres listed)").Select(Slug)];
        Match year = YearAtEnd().Match(title);
        string decade = year.Success ? $"{year.Groups[1].Value[..3]}0s" : "unknown";
        string[] tags = [.. genres.Select(genre => genre.ToLowerInvariant())];
        return new ItemBody
        {
            ItemId = ItemId(movie),
            AuthorId = $"genre:{(genres.Length == 0 ? "None" : genres[0])}:{decade}",
            Text = title,
            Tags = tags,
            CreatedAt = createdAt,
            Attributes = new Dictionary<string, string> { ["kind"] = "movie", ["year"] = year.Success ? year.Groups[1].Value : "unknown" },
        };
    }

    private static string ItemId(int movie) => $"ml:m{movie.ToString(CultureInfo.InvariantCulture)}";

    private static bool IsCsv(string path) => path.Contains(".csv", StringComparison.Ordinal);

    // Genres become parts of ids: "Children's" has a character that ids do not.
    private static string Slug(string genre) => string.Concat(genre.Where(c => char.IsAsciiLetterOrDigit(c) || c == '-'));

    [GeneratedRegex(@"\((\d{4})(?:[-–]\d{0,4})?\)\s*$")]
    private static partial Regex YearAtEnd();

    private readonly record struct Rating(int User, int Movie, float Value, long TimeMs);
}
