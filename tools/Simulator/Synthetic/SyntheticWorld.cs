using System.Globalization;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;

namespace Mesh.Simulator.Synthetic;

/// <summary>
/// A small social world with hidden preferences. Authors write about one or two topics; each user likes a few topics, dislikes
/// one, has a bias for or against single authors, and follows some they like. Events are what users do with items they see,
/// drawn from those preferences: a good recommender recovers them, and <see cref="Affinity"/> is the truth to compare with.
/// </summary>
public sealed class SyntheticWorld : IDataSet
{
    // An event takes about two looks at items in a world that is not used up.
    private const int LooksPerEventMax = 50;

    private readonly SyntheticOptions _options;
    private readonly Author[] _authors;
    private readonly User[] _users;
    private readonly Item[] _items; // by time of creation
    private readonly int[][] _itemsOfAuthor;
    private readonly int[] _all;
    private readonly string[] _itemIds;

    private SyntheticWorld(SyntheticOptions options)
    {
        _options = options;
        var random = new Random(options.Seed);
        _authors = [.. Enumerable.Range(0, options.Authors).Select(index => Author.Draw(index, random))];
        _users = [.. Enumerable.Range(0, options.Users).Select(_ => User.Draw(_authors, random))];
        _items = DrawItems(random);
        _itemIds = [.. _items.Select((_, index) => options.IdPrefix + ItemId(index))];
        _all = [.. Enumerable.Range(0, _items.Length)];
        ILookup<int, int> byAuthor = _all.ToLookup(index => _items[index].Author);
        _itemsOfAuthor = [.. Enumerable.Range(0, _authors.Length).Select(author => byAuthor[author].ToArray())];
    }

    public int Seed => _options.Seed;

    public string Name => $"synthetic world {_options.Seed}";

    public int? ItemCount => _options.Items;

    public int? FollowCount => _users.Sum(user => user.Follows.Length);

    public int? EventCount => _options.Events;

    /// <summary>Draws a world. Its follow graph and items are held in memory, its events are drawn while they are read.</summary>
    public static SyntheticWorld Create(SyntheticOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Users < 1 || options.Authors < 1 || options.Items < 1 || options.Events < 0 || options.Days < 1)
        {
            throw new DataException($"A world needs users, authors, items and days of at least 1; got {options}.");
        }

        return new SyntheticWorld(options);
    }

    public static string UserId(int user) => $"user-{(user + 1).ToString("D4", CultureInfo.InvariantCulture)}";

    public static string AuthorId(int author) => $"author-{(author + 1).ToString("D3", CultureInfo.InvariantCulture)}";

    public static string ItemId(int item) => $"item-{(item + 1).ToString("D6", CultureInfo.InvariantCulture)}";

    /// <summary>The ids of this world: those of any world behind its prefix.</summary>
    public string IdOfUser(int user) => _options.IdPrefix + UserId(user);

    /// <inheritdoc cref="IdOfUser"/>
    public string IdOfAuthor(int author) => _options.IdPrefix + AuthorId(author);

    /// <inheritdoc cref="IdOfUser"/>
    public string IdOfItem(int item) => _itemIds[item];

    /// <summary>Who lives here, with their hidden tastes.</summary>
    internal IReadOnlyList<User> Population => _users;

    /// <summary>What there is to see, by time of creation.</summary>
    internal IReadOnlyList<Item> Catalogue => _items;

    /// <summary>
    /// The hidden truth: how much a user wants an item, as log-odds of engaging with it once seen. Higher is better; about -4 to 4.
    /// </summary>
    public double Affinity(int user, int item)
    {
        User who = _users[user];
        Item what = _items[item];
        double topics = 0.75 * who.Taste[what.Topic] + 0.25 * who.Taste[_authors[what.Author].SecondTopic];
        double language = what.Language == who.Language || what.Language == 0 ? 0 : -1.5;
        return 3.0 * topics + AuthorBias(user, what.Author) + 0.6 * what.Quality + language;
    }

    public IEnumerable<ItemBody> Items() => _items.Select((item, index) => new ItemBody
    {
        ItemId = IdOfItem(index),
        AuthorId = IdOfAuthor(item.Author),
        Text = item.Text,
        Tags = item.Tags,
        CreatedAt = item.CreatedAtMs,
        Language = Vocabulary.Languages[item.Language].Code,
        DurationMs = item.DurationMs == 0 ? null : item.DurationMs,
        Attributes = new Dictionary<string, string> { ["kind"] = item.DurationMs == 0 ? "post" : "video" },
    });

    public IEnumerable<FollowBody> Follows() => _users.SelectMany((user, index) => user.Follows.Select(author => new FollowBody(IdOfUser(index), IdOfAuthor(author))));

    /// <summary>Events in the order of their times: exactly <see cref="SyntheticOptions.Events"/> of them.</summary>
    /// <exception cref="DataException">The world is too small for so many events.</exception>
    public IEnumerable<EventBody> Events()
    {
        var random = new Random(_options.Seed ^ 0x5eed);
        long startMs = StartMs;
        double[] activity = Cumulate(_users.Select(user => user.Activity));
        var behaviour = new Behaviour(random);
        var drawn = new List<EventBody>(_options.Events);
        var seen = new HashSet<(int User, int Item)>(); // a user meets an item once
        for (long looks = 0; drawn.Count < _options.Events; looks++)
        {
            if (looks > LooksPerEventMax * (_options.Events + 100L))
            {
                throw new DataException($"{_users.Length} users and {_items.Length} items are too few for {_options.Events} events; {drawn.Count} is all they do.");
            }

            int user = Pick(activity, random);
            long timeMs = startMs + (long)(random.NextDouble() * (EndMs - startMs));
            if (SeenItem(user, timeMs, random) is not { } item || !seen.Add((user, item))) continue;

            foreach ((string action, long delayMs, float? value) in behaviour.Draw(Affinity(user, item), _items[item].DurationMs))
            {
                if (drawn.Count == _options.Events) break;
                long at = Math.Min(timeMs + delayMs, EndMs);
                drawn.Add(ToRow(user, item, action, at, value));
            }
        }

        return drawn.OrderBy(row => row.Time).ThenBy(row => row.EventId, StringComparer.Ordinal);
    }

    /// <summary>Every item, by time of creation.</summary>
    internal ReadOnlySpan<int> All => _all;

    /// <summary>The items of an author, by time of creation.</summary>
    internal ReadOnlySpan<int> ItemsOf(int author) => _itemsOfAuthor[author];

    /// <summary>How many of some items, given by time of creation, existed before a moment.</summary>
    internal int CountBefore(ReadOnlySpan<int> items, long timeMs)
    {
        int low = 0;
        for (int high = items.Length; low < high;)
        {
            int middle = (low + high) / 2;
            if (_items[items[middle]].CreatedAtMs < timeMs) low = middle + 1;
            else high = middle;
        }

        return low;
    }

    internal long EndMs => _options.End.ToUnixTimeMilliseconds();

    internal long StartMs => EndMs - (long)TimeSpan.FromDays(_options.Days).TotalMilliseconds;

    private EventBody ToRow(int user, int item, string action, long timeMs, float? value) => new()
    {
        EventId = EventIds.Make(timeMs, "synthetic", IdOfUser(user), IdOfItem(item), action),
        UserId = IdOfUser(user),
        ItemId = IdOfItem(item),
        Action = action,
        Time = timeMs,
        Value = value,
        Surface = "home",
    };

    // What a user comes across: more than half from those they follow, the rest anything, the newer the likelier.
    private int? SeenItem(int user, long timeMs, Random random)
    {
        int[] follows = _users[user].Follows;
        if (follows.Length > 0 && random.NextDouble() < 0.55)
        {
            int[] theirs = _itemsOfAuthor[follows[random.Next(follows.Length)]];
            int known = CountBefore(theirs, timeMs);
            return known == 0 ? null : theirs[known - 1 - Recent(known, random)];
        }

        int count = CountBefore(_all, timeMs);
        return count == 0 ? null : count - 1 - Recent(count, random);
    }

    // How far back, among count items: squaring favours the newest, half of all looks fall into the newest quarter.
    internal static int Recent(int count, Random random)
    {
        double draw = random.NextDouble();
        return (int)(draw * draw * count);
    }

    // Drawn from a hash, so that users x authors need not be stored. Mean 0, within +-0.8.
    private double AuthorBias(int user, int author) => (Hash(user, author) / (double)uint.MaxValue - 0.5) * 1.6;

    /// <summary>A number that two numbers have in this world, as good as drawn.</summary>
    internal uint Hash(int first, int second)
    {
        uint hash = unchecked(((uint)first * 2654435761u) ^ ((uint)second * 2246822519u) ^ ((uint)_options.Seed * 3266489917u));
        hash ^= hash >> 15;
        hash = unchecked(hash * 2246822519u);
        return hash ^ (hash >> 13);
    }

    private Item[] DrawItems(Random random)
    {
        double[] productivity = Cumulate(_authors.Select(author => author.Productivity));
        long[] times = [.. Enumerable.Range(0, _options.Items).Select(_ => StartMs + (long)(random.NextDouble() * (EndMs - StartMs))).Order()];
        return [.. times.Select(time => Item.Draw(time, Pick(productivity, random), _authors, random))];
    }

    internal static double[] Cumulate(IEnumerable<double> weights)
    {
        double sum = 0;
        return [.. weights.Select(weight => sum += weight)];
    }

    internal static int Pick(double[] cumulative, Random random)
    {
        int index = Array.BinarySearch(cumulative, random.NextDouble() * cumulative[^1]);
        return Math.Min(index < 0 ? ~index : index, cumulative.Length - 1);
    }
}
