namespace Mesh.Simulator.Synthetic;

/// <summary>One author: what they write about, how well, how often.</summary>
internal sealed record Author(int Topic, int SecondTopic, int Language, double Quality, double Productivity)
{
    public static Author Draw(int index, Random random)
    {
        int topics = Vocabulary.Topics.Count;
        int topic = index % topics; // every topic has authors, however few there are
        int second = random.NextDouble() < 0.4 ? random.Next(topics) : topic;
        double draw = random.NextDouble();
        int language = 0;
        for (double share = Vocabulary.Languages[0].Share; draw > share && language < Vocabulary.Languages.Count - 1; share += Vocabulary.Languages[language].Share) language++;
        // Few write much: a Pareto tail, cut so that nobody writes half of everything.
        double productivity = Math.Min(Math.Pow(1 - random.NextDouble(), -0.7), 12);
        return new Author(topic, second, language, Gaussian(random) * 0.7, productivity);
    }

    internal static double Gaussian(Random random)
    {
        double u = 1 - random.NextDouble();
        return Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * random.NextDouble());
    }
}

/// <summary>One user: taste by topic in [-1, 1], the language they read besides English, and whom they follow.</summary>
internal sealed record User(double[] Taste, int Language, double Activity, int[] Follows)
{
    private const int FollowsMax = 15;

    public static User Draw(Author[] authors, Random random)
    {
        double[] taste = [.. Vocabulary.Topics.Select(_ => Author.Gaussian(random) * 0.12)];
        int[] order = [.. Enumerable.Range(0, taste.Length)];
        random.Shuffle(order);
        int liked = random.Next(2, 5);
        foreach (int topic in order.AsSpan(0, liked)) taste[topic] = 0.5 + 0.5 * random.NextDouble();
        taste[order[liked]] = -0.5 - 0.5 * random.NextDouble();

        int language = random.NextDouble() < 0.6 ? 0 : random.Next(1, Vocabulary.Languages.Count);
        double activity = Math.Min(Math.Pow(1 - random.NextDouble(), -0.6), 10);
        return new User(taste, language, activity, DrawFollows(taste, authors, random));
    }

    private static int[] DrawFollows(double[] taste, Author[] authors, Random random)
    {
        double[] weights = SyntheticWorld.Cumulate(authors.Select(author => Math.Exp(3 * taste[author.Topic] + author.Quality) * author.Productivity));
        int count = Math.Min(random.Next(3, FollowsMax + 1), authors.Length);
        var follows = new SortedSet<int>();
        for (int attempt = 0; attempt < count * 3 && follows.Count < count; attempt++) follows.Add(SyntheticWorld.Pick(weights, random));
        return [.. follows];
    }
}

/// <summary>One post or video.</summary>
internal sealed record Item(long CreatedAtMs, int Author, int Topic, int Language, double Quality, long DurationMs, string Text, string[] Tags)
{
    public static Item Draw(long createdAtMs, int authorIndex, Author[] authors, Random random)
    {
        Author author = authors[authorIndex];
        int topicIndex = random.NextDouble() < 0.7 ? author.Topic : author.SecondTopic;
        Topic topic = Vocabulary.Topics[topicIndex];
        string[] function = Vocabulary.Languages[author.Language].Words;

        string[] words = [.. topic.Words];
        random.Shuffle(words);
        int meaning = random.Next(4, 9);
        IEnumerable<string> text = words.Take(meaning).SelectMany(word => random.NextDouble() < 0.6 ? new[] { function[random.Next(function.Length)], word } : [word]);
        long durationMs = random.NextDouble() < 0.3 ? random.Next(5_000, 180_000) : 0;
        return new Item(
            createdAtMs, authorIndex, topicIndex, author.Language, author.Quality + Gauss(random) * 0.5, durationMs,
            string.Join(' ', text), [topic.Name, words[0], words[1]]);
    }

    private static double Gauss(Random random) => Synthetic.Author.Gaussian(random);
}
