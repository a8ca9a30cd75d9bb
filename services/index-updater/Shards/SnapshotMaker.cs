using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>The shard as it was at one moment. Entries are immutable, so taking it is a copy of references.</summary>
internal sealed record ShardCapture(
    string Version, ulong Sequence, ulong NextBatch, IReadOnlyList<CatalogueEntry> Entries, ItemModel Model, ModelSwitch? Change, long ItemsAtFit, bool Fit);

/// <summary>What became of a capture.</summary>
/// <param name="Model">Of the snapshot.</param>
/// <param name="Encoded">Rows as captured, and as rows of the new model; empty where the model stays.</param>
internal sealed record MadeSnapshot(
    SnapshotManifest Manifest, ItemModel Model, long ItemsAtFit, IReadOnlyDictionary<string, (CatalogueEntry Captured, CatalogueEntry Row)> Encoded);

/// <summary>Turns a capture into the files of a snapshot, beside the shard's turns: events are taken in while it works.</summary>
internal sealed class SnapshotMaker(uint shard, SnapshotWriter writer, IndexUpdaterOptions options, TimeProvider clock, ILogger logger)
{
    private const int FitSeed = 20_251;

    // Each part is one blob; the writer's limit with room for the parts' framing.
    private const int StateBytesMax = SnapshotWriter.FileBytesMax - 1024;

    public async Task<MadeSnapshot> MakeAsync(ShardCapture capture, CancellationToken cancellation)
    {
        CatalogueEntry[] captured = [.. capture.Entries.Where(entry => entry.IsLive).OrderBy(entry => entry.ItemId, StringComparer.Ordinal)];
        (ItemModel model, long itemsAtFit) = (capture.Change?.Model ?? capture.Model, capture.ItemsAtFit);
        CatalogueEntry[] rows = capture.Change?.Take(captured, cancellation) ?? captured;
        if (capture.Fit && rows.Length > 0)
        {
            (model, itemsAtFit) = (new ItemModel(model.Encoder, Fit(rows, model.Encoder.Dimensions, cancellation)), rows.Length);
        }

        // Rows that wait to be sent out again are of the model before even where it stays: no snapshot mixes two.
        if (rows.Any(row => row.ModelVersion != model.Version)) rows = model.Encode(rows);
        var encoded = new Dictionary<string, (CatalogueEntry, CatalogueEntry)>(StringComparer.Ordinal);
        if (model.Version != capture.Model.Version)
        {
            for (int i = 0; i < rows.Length; i++) encoded.Add(rows[i].ItemId, (captured[i], rows[i]));
        }

        SnapshotManifest manifest = await writer.WriteAsync(
            new SnapshotContent
            {
                Manifest = new SnapshotManifest
                {
                    Version = capture.Version,
                    Shard = shard,
                    Sequence = capture.Sequence,
                    CreatedAtMs = clock.GetUtcNow().ToUnixTimeMilliseconds(),
                    ModelVersion = model.Version,
                    CounterHalfLifeHours = options.CounterHalfLifeHours,
                },
                Dimensions = model.Encoder.Dimensions,
                Codebooks = model.Codebooks,
                CodebooksMetadata = new Dictionary<string, string> { ["encoder"] = model.Encoder.ModelVersion, ["model_version"] = model.Version },
                Tower = model.Encoder.Tower,
                Rows = rows.Select(row => row.ToRow()),
                State = StateParts(capture, itemsAtFit),
            },
            cancellation);
        return new MadeSnapshot(manifest, model, itemsAtFit, encoded);
    }

    private ResidualCodebooks Fit(CatalogueEntry[] rows, int dimensions, CancellationToken cancellation)
    {
        CatalogueEntry[] sample = rows;
        if (rows.Length > options.FitRowsMax)
        {
            sample = [.. rows];
            new Random(FitSeed).Shuffle(sample);
            sample = sample[..options.FitRowsMax];
        }

        var vectors = new float[sample.Length * dimensions];
        for (int i = 0; i < sample.Length; i++) MemoryMarshal.Cast<byte, float>(sample[i].Embedding.Span).CopyTo(vectors.AsSpan(i * dimensions));
        var settings = new ResidualKMeansSettings(options.CodeLevels, options.CodesPerLevel, Seed: FitSeed);
        ResidualKMeansFit fit = ResidualKMeans.Fit(vectors, dimensions, settings, cancellation);
        Log.CodebooksFitted(logger, shard, sample.Length, rows.Length, fit.Variance > 0 ? fit.ErrorByLevel[^1] / fit.Variance : 0);
        return fit.Codebooks;
    }

    private static IEnumerable<byte[]> StateParts(ShardCapture capture, long itemsAtFit)
    {
        var part = new IndexSnapshotState { ItemsAtFit = itemsAtFit };
        int bytes = 0;
        foreach (CatalogueEntry entry in capture.Entries)
        {
            RowState state = entry.ToState();
            int size = state.CalculateSize() + 4;
            if (part.Rows.Count > 0 && bytes + size > StateBytesMax)
            {
                yield return part.ToByteArray();
                part = new IndexSnapshotState { ItemsAtFit = itemsAtFit };
                bytes = 0;
            }

            part.Rows.Add(state);
            bytes += size;
        }

        yield return part.ToByteArray();
    }
}
