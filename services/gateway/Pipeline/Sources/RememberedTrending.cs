using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Sources;

/// <summary>
/// The last trending candidates that retrieval answered with, for when it does not answer. Bounded in number and in age;
/// it holds no user's data, only items. Every feed request may write: the newest answer goes in front, and a lost race
/// between two answers of the same moment costs nothing.
/// </summary>
internal sealed class RememberedTrending(TimeProvider clock)
{
    public const int Max = 300;
    private static readonly TimeSpan AgeMax = TimeSpan.FromMinutes(30);
    private static readonly TimeSpan TextEvery = TimeSpan.FromMinutes(1);

    private volatile Memory _memory = new([], new Origin("", ""), DateTimeOffset.MinValue);

    /// <summary>Whether the next request should ask for texts too: once a minute is enough to keep them at hand for users with muted words.</summary>
    public bool WantsText => clock.GetUtcNow() - _memory.TextAt > TextEvery;

    public void Remember(RetrieveResponse response, bool withText)
    {
        DateTimeOffset now = clock.GetUtcNow();
        var origin = new Origin(response.IndexVersion, response.ModelVersion);

        // Codes of two models must not meet on one page: with a new model the memory starts again.
        Memory before = _memory.From.ModelVersion == origin.ModelVersion ? _memory : new Memory([], origin, DateTimeOffset.MinValue);
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var entries = new List<Entry>(Max);
        Dictionary<string, Entry> known = before.Entries.ToDictionary(entry => entry.Candidate.ItemId, StringComparer.Ordinal);
        foreach (Candidate candidate in response.Candidates.Where(candidate => candidate.Sources.Contains("trending")))
        {
            if (entries.Count == Max || !ids.Add(candidate.ItemId)) continue;
            bool keepsText = !withText && known.GetValueOrDefault(candidate.ItemId) is { TextLoaded: true };
            entries.Add(
                new Entry(keepsText ? WithText(candidate, known[candidate.ItemId].Candidate.Text) : candidate, withText || keepsText, now));
        }

        if (entries.Count == 0) return;
        entries.AddRange(
            before.Entries.Where(entry => now - entry.At < AgeMax && ids.Add(entry.Candidate.ItemId)).Take(Max - entries.Count));
        _memory = new Memory(entries, origin, withText ? now : before.TextAt);
    }

    /// <summary>What is remembered and fresh enough, best first, with what it came from.</summary>
    public (IReadOnlyList<FeedCandidate> Candidates, Origin? From) Recall()
    {
        DateTimeOffset now = clock.GetUtcNow();
        Memory memory = _memory;
        List<FeedCandidate> fresh =
        [
            .. memory.Entries.Where(entry => now - entry.At < AgeMax).Select(entry => new FeedCandidate(Anonymous(entry.Candidate)) { TextLoaded = entry.TextLoaded }),
        ];
        return (fresh, fresh.Count == 0 ? null : memory.From);
    }

    // Similarity and network were those of the user it was found for.
    private static Candidate Anonymous(Candidate candidate)
    {
        Candidate copy = candidate.Clone();
        copy.Similarity = 0;
        copy.InNetwork = false;
        copy.Sources.Clear();
        copy.Sources.Add("remembered-trending");
        return copy;
    }

    private static Candidate WithText(Candidate candidate, string text)
    {
        Candidate copy = candidate.Clone();
        copy.Text = text;
        return copy;
    }

    private sealed record Entry(Candidate Candidate, bool TextLoaded, DateTimeOffset At);

    /// <summary>Snapshot and model of the newest answer.</summary>
    internal sealed record Origin(string IndexVersion, string ModelVersion);

    private sealed record Memory(IReadOnlyList<Entry> Entries, Origin From, DateTimeOffset TextAt);
}
