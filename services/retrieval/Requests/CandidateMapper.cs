using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Requests;

/// <summary>
/// Writes rows as messages. Counters and Eligibility are shared with the row, not copied: they are never written after the
/// row was published, and writing a message to the wire only reads it.
/// </summary>
internal static class CandidateMapper
{
    public static Candidate Map(RowState state, bool includeText)
    {
        ItemFacts facts = state.Facts;
        var candidate = new Candidate
        {
            ItemId = facts.ItemId,
            AuthorId = facts.AuthorId,
            CreatedAtMs = facts.CreatedAtMs,
            Language = facts.Language,
            DurationMs = facts.DurationMs,
            Counters = state.Counters,
            Eligibility = state.Eligibility,
        };
        candidate.Tags.AddRange(facts.Tags);
        candidate.Codes.AddRange(facts.Codes);
        if (includeText) candidate.Text = facts.Text;
        return candidate;
    }

    public static HistoryItem MapHistory(RowState state)
    {
        var item = new HistoryItem { ItemId = state.Facts.ItemId, AuthorId = state.Facts.AuthorId };
        item.Codes.AddRange(state.Facts.Codes);
        item.Tags.AddRange(state.Facts.Tags);
        return item;
    }
}
