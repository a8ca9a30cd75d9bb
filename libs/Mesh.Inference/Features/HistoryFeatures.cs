using System.Buffers;
using System.Runtime.InteropServices;
using Mesh.Contracts;

namespace Mesh.Inference.Features;

/// <summary>
/// A user's sequence as context.onnx and user.onnx take it. Events become tokens: actions on one item within the merge window are
/// one token (a view, a click and a like are one thing that happened), at the place of its first and the time of its last event.
/// The newest L tokens stay, the newest at L-1. Agrees with training/feedmesh/features.py (golden file).
/// </summary>
public static class HistoryFeatures
{
    public const int DwellAction = 8;
    private const float ValueScale = 5;

    /// <summary>Fills row <paramref name="row"/> of the tensors.</summary>
    /// <param name="sequence">Oldest first; null or empty is a user without history.</param>
    /// <param name="items">What the index knows of the items, by id.</param>
    public static void Write(Sequence? sequence, IReadOnlyDictionary<string, HistoryItem> items, FeatureSettings settings, SemanticIdShape shape, HistoryTensors tensors, int row)
    {
        ArgumentNullException.ThrowIfNull(items);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(tensors);
        tensors.ClearRow(row);
        int events = sequence?.ItemIds.Count ?? 0;
        if (events == 0) return;
        if (sequence!.Actions.Length != events || sequence.TimesMs.Count != events)
        {
            throw new ArgumentException($"Columns differ in length: {events} items, {sequence.Actions.Length} actions, {sequence.TimesMs.Count} times.", nameof(sequence));
        }

        Token[] rented = ArrayPool<Token>.Shared.Rent(events);
        try
        {
            int count = Merge(sequence, settings.MergeWindowMs, rented);
            int kept = Math.Min(count, settings.HistoryMax);
            long newest = long.MinValue;
            foreach (ref readonly Token token in rented.AsSpan(0, count)) newest = Math.Max(newest, sequence.TimesMs[token.Event]);
            for (int i = 0; i < kept; i++)
            {
                ref readonly Token token = ref rented[count - kept + i];
                Write(in token, sequence, items, settings, shape, newest, tensors, (row * settings.HistoryMax) + settings.HistoryMax - kept + i);
            }
        }
        finally
        {
            ArrayPool<Token>.Shared.Return(rented);
        }
    }

    private static int Merge(Sequence sequence, long windowMs, Span<Token> tokens)
    {
        ReadOnlySpan<byte> actions = sequence.Actions.Span;
        var latest = new Dictionary<string, int>(tokens.Length, StringComparer.Ordinal);
        int count = 0;
        for (int i = 0; i < actions.Length; i++)
        {
            if (actions[i] >= ActionTaxonomy.Default.Count) continue;
            long time = sequence.TimesMs[i];
            ref int place = ref CollectionsMarshal.GetValueRefOrAddDefault(latest, sequence.ItemIds[i], out bool seen);
            if (!seen || time - tokens[place].FirstMs > windowMs)
            {
                place = count++;
                tokens[place] = new Token { FirstMs = time };
            }

            ref Token token = ref tokens[place];
            token.Event = i;
            token.Actions |= 1u << actions[i];
            if (actions[i] == DwellAction && i < sequence.Values.Count && sequence.Values[i] is var value && float.IsFinite(value)) token.Dwell = Math.Max(token.Dwell, value);
        }

        return count;
    }

    private static void Write(
        in Token token, Sequence sequence, IReadOnlyDictionary<string, HistoryItem> items, FeatureSettings settings, SemanticIdShape shape, long newest, HistoryTensors tensors, int position)
    {
        items.TryGetValue(sequence.ItemIds[token.Event], out HistoryItem? item);
        SemanticCodes.Write(item?.Codes, shape, tensors.Codes.Longs.Slice(position * shape.Levels, shape.Levels));
        FeatureHash.Authors(item?.AuthorId, settings.AuthorBuckets, tensors.Authors.Longs.Slice(position * 2, 2));
        Span<float> actions = tensors.Actions.Floats.Slice(position * ActionTaxonomy.Default.Count, ActionTaxonomy.Default.Count);
        for (int action = 0; action < actions.Length; action++) actions[action] = (token.Actions >> action) & 1;
        tensors.Gaps.Longs[position] = TimeBuckets.Of(newest - sequence.TimesMs[token.Event]);
        tensors.Surfaces.Longs[position] = SurfaceOf(sequence, token.Event);
        tensors.Values.Floats[position] = (float)(Math.Log(1 + (double)token.Dwell) / ValueScale);
        tensors.Mask.Floats[position] = 1;
    }

    private static long SurfaceOf(Sequence sequence, int index)
    {
        if (index >= sequence.Surfaces.Count || sequence.Surfaces[index] >= (uint)sequence.SurfaceNames.Count) return 0;
        return FeatureHash.SurfaceOf(sequence.SurfaceNames[(int)sequence.Surfaces[index]]);
    }

    private struct Token
    {
        public long FirstMs;
        public int Event; // the last of the token
        public uint Actions;
        public float Dwell;
    }
}
