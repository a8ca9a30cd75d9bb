using Mesh.Contracts;

namespace Mesh.Ranker.Scoring;

internal static class LeftOut
{
    /// <summary>Whether the request relies on the context that it names: it carries neither sequence nor history.</summary>
    public static bool SequenceLeftOut(this ScoreRequest request) => request.ContextId.Length > 0 && request.Sequence is null && request.History.Count == 0;
}
