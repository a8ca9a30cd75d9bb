namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>
/// Removes items whose text or tags hold a muted word or phrase, compared by tokens: muting "cat" leaves "category". The
/// dearest of the filters, so it runs last. A text that was not fetched cannot be judged and is not shown to a user who
/// muted words.
/// </summary>
internal sealed class MutedWordsFilter : PredicateFilter
{
    public override bool IsEnabled(FeedQuery query) => query.Context.Profile.MutedWords.Count > 0;

    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        // Phrases by their first token: a text is looked up once per token, however many words are muted.
        ILookup<string, List<string>> phrases = query.Context.Profile.MutedWords
            .Select(Tokens.Of).Where(tokens => tokens.Count > 0)
            .ToLookup(tokens => tokens[0], StringComparer.Ordinal);
        return candidate => candidate.TextLoaded
            && !Holds(Tokens.Of(candidate.Data.Text), phrases)
            && !candidate.Data.Tags.Any(tag => Holds(Tokens.Of(tag), phrases));
    }

    private static bool Holds(List<string> text, ILookup<string, List<string>> phrases)
    {
        for (int i = 0; i < text.Count; i++)
        {
            foreach (List<string> phrase in phrases[text[i]])
            {
                if (StartsAt(text, i, phrase)) return true;
            }
        }

        return false;
    }

    private static bool StartsAt(List<string> text, int start, List<string> phrase)
    {
        if (start + phrase.Count > text.Count) return false;
        for (int i = 1; i < phrase.Count; i++)
        {
            if (text[start + i] != phrase[i]) return false;
        }

        return true;
    }
}
