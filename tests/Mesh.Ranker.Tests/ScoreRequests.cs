using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Ranker.Tests;

/// <summary>Seeded requests: a small world of authors and tags.</summary>
internal static class ScoreRequests
{
    public const long NowMs = 1_750_000_000_000;

    private const long HourMs = 3_600_000;

    public static ScoreRequest Request(int seed, int candidates)
    {
        var random = new Random(seed);
        var request = new ScoreRequest { RequestId = "r", UserId = "u", NowMs = NowMs, Sequence = new Sequence(), CounterHalfLifeHours = 48 };
        for (int i = 0; i < 60; i++)
        {
            string item = $"past-{i}";
            request.History.Add(new HistoryItem { ItemId = item, AuthorId = $"author-{random.Next(20)}", Tags = { $"tag-{random.Next(10)}" } });
            Did(request, item, ActionTaxonomy.Default.Names[random.Next(14)], NowMs - random.Next(1, 500 * (int)HourMs));
        }

        for (int i = 0; i < candidates; i++) request.Candidates.Add(Candidate(random, $"item-{i}"));
        return request;
    }

    public static Candidate Candidate(Random random, string itemId)
    {
        var candidate = new Candidate
        {
            ItemId = itemId,
            AuthorId = $"author-{random.Next(20)}",
            Tags = { Enumerable.Range(0, random.Next(4)).Select(_ => $"tag-{random.Next(10)}") },
            CreatedAtMs = NowMs - (random.Next(1, 300) * HourMs),
            DurationMs = random.Next(2) * 30_000,
            Similarity = (random.NextSingle() * 2) - 1,
            InNetwork = random.Next(2) == 0,
            Counters = new Counters { AsOfMs = NowMs - random.Next((int)HourMs * 100) },
        };
        for (int action = 0; action < 15; action++) candidate.Counters.Counts.Add(random.NextSingle() * (action == 14 ? 500 : 20));
        return candidate;
    }

    public static void Did(ScoreRequest request, string item, string action, long timeMs)
    {
        Sequence sequence = request.Sequence;
        sequence.ItemIds.Add(item);
        sequence.TimesMs.Add(timeMs);
        sequence.Values.Add(0);
        sequence.Surfaces.Add(0);
        sequence.Actions = ByteString.CopyFrom([.. sequence.Actions.Span, (byte)ActionTaxonomy.Default.IndexOf(action)]);
    }

    /// <summary>A user who did one thing to one author's item with one tag, and two plain items to choose from.</summary>
    public static ScoreRequest OneAction(string action, string author, string tag)
    {
        var request = new ScoreRequest { NowMs = NowMs, Sequence = new Sequence(), History = { new HistoryItem { ItemId = "past", AuthorId = author, Tags = { tag } } } };
        Did(request, "past", action, NowMs - HourMs);
        request.Candidates.Add(new Candidate { ItemId = "by-a", AuthorId = "a", Tags = { "cats" }, CreatedAtMs = NowMs - HourMs });
        request.Candidates.Add(new Candidate { ItemId = "by-b", AuthorId = "b", Tags = { "dogs" }, CreatedAtMs = NowMs - HourMs });
        return request;
    }
}
