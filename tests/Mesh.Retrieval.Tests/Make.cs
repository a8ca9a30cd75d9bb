using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Mesh.Retrieval.Values;
using Mesh.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Retrieval.Tests;

/// <summary>Short ways to make rows, deltas and indexes.</summary>
internal static class Make
{
    public const long Now = 1_800_000_000_000;
    public const long Hour = 3_600_000;
    public const int Dimensions = 4;

    public static FakeTimeProvider Clock() => new(DateTimeOffset.FromUnixTimeMilliseconds(Now));

    public static RetrievalOptions Options => new();

    public static LiveIndex Index(RetrievalOptions? options, TimeProvider? clock) =>
        new(IndexOrigin.None(24), IndexLimits.From(options ?? Options), clock ?? Clock());

    public static LiveIndex Index(params ItemRow[] rows) => Index(Options, rows);

    public static LiveIndex Index(RetrievalOptions options, params ItemRow[] rows)
    {
        LiveIndex index = Index(options, clock: null);
        for (int i = 0; i < rows.Length; i++) Assert.NotEqual(Applied.Refused, index.Apply(Upsert((ulong)i + 1, rows[i]), out _));
        return index;
    }

    /// <summary>One for all tests: whoever listens in this process pays for every meter there is.</summary>
    public static RetrievalMetrics Metrics { get; } = new(
        new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>(), new IndexHolder(), new FollowerState(TimeProvider.System));

    public static ValueFormulas Values(ReloadableSettings settings) =>
        new(settings.Monitor<ValueFormulaOptions>(RetrievalOptions.Section), Metrics, NullLogger<ValueFormulas>.Instance);

    public static InNetworkSource InNetwork(int perAuthorMax, double retentionHours) =>
        new(InNetworkShape.From(Options) with { PerAuthorMax = perAuthorMax, RetentionHours = retentionHours });

    public static TwoTowerSource TwoTower(string formula = "", QueryMerge merge = QueryMerge.Max, int poolMultiple = 4, int wholeMax = 0) =>
        new(Values(new(new() { ["Retrieval:ValueFormula"] = formula })), new TwoTowerShape(merge, poolMultiple, wholeMax), Metrics);

    public static SemanticIdSource SemanticId(int scanMax, string formula = "") =>
        new(new HistoryDecoder(Options.TrendingPrior), BeamShape.From(Options) with { RowsPerPrefixMax = scanMax },
            Values(new(new() { ["Retrieval:SemanticIdValueFormula"] = formula })), Metrics);

    /// <summary>Every live row whose codes begin so, by what the tree gives a reader.</summary>
    public static List<RowState> Under(PrefixTree tree, params uint[] codes)
    {
        List<RowState> found = [];
        var nodes = new Stack<PrefixNode>([tree.Root]);
        while (nodes.TryPop(out PrefixNode? node))
        {
            node.TryGetRows(out ReadOnlySpan<Row> rows);
            foreach (Row row in rows)
            {
                if (row.State is { } state && state.Facts.Codes.AsSpan().StartsWith(codes)) found.Add(state);
            }

            foreach (PrefixNode child in node.Children) nodes.Push(child);
        }

        return found;
    }

    /// <summary>The index without its dead slots, with nothing happening meanwhile.</summary>
    public static LiveIndex Compact(LiveIndex index)
    {
        LiveIndex copy = index.CopyAt(index.Sequence, threads: 1);
        index.FinishCopy(copy);
        return copy;
    }

    public static ItemRow Row(
        string id, string author = "author", float[]? vector = null, uint[]? codes = null, long createdAtMs = Now - Hour, string[]? tags = null,
        float likes = 0, float reports = 0, Eligibility? eligibility = null, string text = "", string language = "")
    {
        var row = new ItemRow
        {
            Item = new Item { ItemId = id, AuthorId = author, Text = text, CreatedAtMs = createdAtMs, Language = language },
            Embedding = Bytes(Unit(vector ?? [1, 0, 0, 0])),
            Counters = Counters(likes, reports),
            Eligibility = eligibility ?? new Eligibility(),
        };
        row.Item.Tags.AddRange(tags ?? []);
        row.Codes.AddRange(codes ?? []);
        return row;
    }

    public static Counters Counters(float likes = 0, float reports = 0, long asOfMs = Now)
    {
        var counters = new Counters { AsOfMs = asOfMs };
        counters.Counts.AddRange(new float[ActionTaxonomy.Default.CounterCount]);
        counters.Counts[ActionTaxonomy.Default.IndexOf("like")] = likes;
        counters.Counts[ActionTaxonomy.Default.IndexOf("report")] = reports;
        return counters;
    }

    public static IndexDelta Upsert(ulong sequence, ItemRow row)
    {
        row = row.Clone();
        row.Version = sequence;
        return new IndexDelta { Sequence = sequence, EventTimeMs = Now, Upserted = row };
    }

    public static IndexDelta Delete(ulong sequence, string id) => new() { Sequence = sequence, EventTimeMs = Now, DeletedItemId = id };

    public static IndexDelta Engage(ulong sequence, string id, float likes, float reports = 0) =>
        new() { Sequence = sequence, EventTimeMs = Now, Engagement = new EngagementDelta { ItemId = id, Counters = Counters(likes, reports) } };

    public static IndexDelta Restrict(ulong sequence, string id, Eligibility eligibility) =>
        new() { Sequence = sequence, EventTimeMs = Now, Eligibility = new EligibilityDelta { ItemId = id, Eligibility = eligibility } };

    public static IndexDeltaBatch Batch(IEnumerable<IndexDelta> deltas, ulong head = 0)
    {
        var batch = new IndexDeltaBatch { Deltas = { deltas } };
        batch.FirstSequence = batch.Deltas.Count > 0 ? batch.Deltas[0].Sequence : 0;
        batch.HeadSequence = Math.Max(head, batch.Deltas.Count > 0 ? batch.Deltas[^1].Sequence : 0);
        return batch;
    }

    public static Sequence Sequence(params (string Item, string Action, long TimeMs)[] events)
    {
        var sequence = new Sequence { Actions = ByteString.CopyFrom([.. events.Select(e => (byte)ActionTaxonomy.Default.IndexOf(e.Action))]) };
        sequence.ItemIds.AddRange(events.Select(e => e.Item));
        sequence.TimesMs.AddRange(events.Select(e => e.TimeMs));
        return sequence;
    }

    public static RetrieveRequest Request(Sequence? sequence = null, params (string Source, uint Limit)[] sources)
    {
        var request = new RetrieveRequest { UserId = "user", NowMs = Now, Sequence = sequence ?? new Sequence() };
        request.Sources.AddRange(sources.Select(source => new SourceRequest { Name = source.Source, Limit = source.Limit }));
        return request;
    }

    public static float[] Unit(float[] vector)
    {
        float norm = MathF.Sqrt(vector.Sum(x => x * x));
        return norm == 0 ? vector : [.. vector.Select(x => x / norm)];
    }

    public static ByteString Bytes(float[] vector) => ByteString.CopyFrom(MemoryMarshal.AsBytes(vector.AsSpan()));

    public static float[] RandomVector(Random random, int dimensions = Dimensions) =>
        Unit([.. Enumerable.Range(0, dimensions).Select(_ => (float)(random.NextDouble() - 0.5))]);
}
