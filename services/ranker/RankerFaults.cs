using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.Ranker.Scoring;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker;

/// <summary>
/// What is wrong with a request, all at once. Numbers that are merely odd (NaN, negative times, codes out of range) are no faults.
/// </summary>
internal sealed class RankerFaults(ScorerSet scorers, IOptions<RankerOptions> options)
{
    public const int VersionLengthMax = 128;

    private const int SurfaceLengthMax = 64;
    private const int CodesMax = 16;

    public Dictionary<string, string[]> Of(ScoreRequest request)
    {
        var faults = new Dictionary<string, string[]>();
        if (request.Candidates.Count > options.Value.CandidatesMax)
        {
            faults["candidates"] = [$"{request.Candidates.Count} candidates; at most {options.Value.CandidatesMax}"];
        }
        else if (FirstFaulty(request.Candidates) is { } fault)
        {
            faults["candidates"] = [fault];
        }

        if (!scorers.Arms.Contains(scorers.Resolve(request.Arm)))
        {
            faults["arm"] = [$"'{Shown(request.Arm)}' is not an arm; there are: {string.Join(", ", scorers.Arms)}"];
        }

        Length(faults, "request_id", request.RequestId, Limits.IdLengthMax);
        Length(faults, "context_id", request.ContextId, Limits.IdLengthMax);
        Length(faults, "surface", request.Surface, SurfaceLengthMax);
        User(faults, request.UserId, request.ModelVersion, request.Sequence, request.History);
        return faults;
    }

    public Dictionary<string, string[]> Of(PrepareRequest request)
    {
        var faults = new Dictionary<string, string[]>();
        Length(faults, "request_id", request.RequestId, Limits.IdLengthMax);
        User(faults, request.UserId, request.ModelVersion, request.Sequence, request.History);
        return faults;
    }

    private void User(Dictionary<string, string[]> faults, string userId, string modelVersion, Sequence? sequence, RepeatedField<HistoryItem> history)
    {
        Length(faults, "user_id", userId, Limits.IdLengthMax);
        Length(faults, "model_version", modelVersion, VersionLengthMax);
        if (history.Count > options.Value.SequenceMax) faults["history"] = [$"{history.Count} items; at most {options.Value.SequenceMax}"];
        if (sequence is null) return;

        int events = sequence.ItemIds.Count;
        if (events > options.Value.SequenceMax)
        {
            faults["sequence"] = [$"{events} events; at most {options.Value.SequenceMax}"];
        }
        else if (sequence.Actions.Length != events || sequence.TimesMs.Count != events
            || !IsColumn(sequence.Values.Count) || !IsColumn(sequence.Surfaces.Count))
        {
            faults["sequence"] =
            [
                $"columns differ in length: {events} items, {sequence.Actions.Length} actions, {sequence.TimesMs.Count} times, "
                + $"{sequence.Values.Count} values, {sequence.Surfaces.Count} surfaces",
            ];
        }
        else if (sequence.SurfaceNames.Count > events)
        {
            faults["sequence"] = [$"{sequence.SurfaceNames.Count} names of surfaces for {events} events"];
        }

        // Values and surfaces may be left out as a whole.
        bool IsColumn(int count) => count == events || count == 0;
    }

    private static string? FirstFaulty(RepeatedField<Candidate> candidates)
    {
        for (int i = 0; i < candidates.Count; i++)
        {
            int item = candidates[i].ItemId.Length, author = candidates[i].AuthorId.Length, codes = candidates[i].Codes.Count;
            if (item > Limits.IdLengthMax) return $"[{i}].item_id has {item} characters; at most {Limits.IdLengthMax}";
            if (author > Limits.IdLengthMax) return $"[{i}].author_id has {author} characters; at most {Limits.IdLengthMax}";
            if (codes > CodesMax) return $"[{i}] has {codes} codes; at most {CodesMax}";
        }

        return null;
    }

    private static void Length(Dictionary<string, string[]> faults, string field, string value, int max)
    {
        if (value.Length > max) faults[field] = [$"{value.Length} characters; at most {max}"];
    }

    private static string Shown(string text) => text.Length > 40 ? text[..40] + "..." : text;
}
