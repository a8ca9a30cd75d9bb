using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>The shard as it was at one moment. Entries are immutable, so taking it is a copy of references.</summary>
internal sealed record ShardCapture(
    string Version, ulong Sequence, ulong NextBatch, IReadOnlyList<CatalogueEntry> Entries, ResidualCodebooks? Codebooks, string ModelVersion, long ItemsAtFit, bool Fit);

/// <summary>What became of a capture.</summary>
/// <param name="Fitted">Entries as captured, with the codes of the new codebooks; empty where the old ones were kept.</param>
internal sealed record MadeSnapshot(
    SnapshotManifest Manifest, ResidualCodebooks? Codebooks, long ItemsAtFit, IReadOnlyDictionary<string, (CatalogueEntry Entry, ushort[] Codes)> Fitted);

/// <summary>Turns a capture into the files of a snapshot, beside the shard's turns: events are taken in while it works.</summary>
internal sealed class SnapshotMaker(uint shard, SnapshotWriter writer, IItemEncoder encoder, IndexUpdaterOptions options, TimeProvider clock, ILogger logger)
{
    private const int FitSeed = 20_251;

    // Each part is one blob; the writer's limit with room for the parts' framing.
    private const int StateBytesMax = SnapshotWriter.FileBytesMax - 1024;

    public async Task<MadeSnapshot> MakeAsync(ShardCapture capture, CancellationToken cancellation)
    {
        CatalogueEntry[] rows = [.. capture.Entries.Where(entry => entry.IsLive).OrderBy(entry => entry.ItemId, StringComparer.Ordinal)];
        (ResidualCodebooks? codebooks, string model, long itemsAtFit) = (capture.Codebooks, capture.ModelVersion, capture.ItemsAtFit);
        var fitted = new Dictionary<string, (CatalogueEntry, ushort[])>(StringComparer.Ordinal);
        if (capture.Fit && rows.Length > 0)
        {
            codebooks = Fit(rows, cancellation);
            (model, itemsAtFit) = (ModelVersions.Of(encoder.ModelVersion, codebooks), rows.Length);
            for (int i = 0; i < rows.Length; i++)
            {
                var codes = new ushort[codebooks.Levels];
                codebooks.Encode(Vector(rows[i]), codes);
                fitted.Add(rows[i].ItemId, (rows[i], codes));
                rows[i] = rows[i] with { Codes = codes };
            }
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
                    ModelVersion = model,
                    CounterHalfLifeHours = options.CounterHalfLifeHours,
                },
                Dimensions = encoder.Dimensions,
                Codebooks = codebooks,
                CodebooksMetadata = new Dictionary<string, string> { ["encoder"] = encoder.ModelVersion, ["model_version"] = model },
                Rows = rows.Select(row => row.ToRow()),
                State = StateParts(capture, itemsAtFit),
            },
            cancellation);
        return new MadeSnapshot(manifest, codebooks, itemsAtFit, fitted);
    }

    private ResidualCodebooks Fit(CatalogueEntry[] rows, CancellationToken cancellation)
    {
        CatalogueEntry[] sample = rows;
        if (rows.Length > options.FitRowsMax)
        {
            sample = [.. rows];
            new Random(FitSeed).Shuffle(sample);
            sample = sample[..options.FitRowsMax];
        }

        var vectors = new float[sample.Length * encoder.Dimensions];
        for (int i = 0; i < sample.Length; i++) Vector(sample[i]).CopyTo(vectors.AsSpan(i * encoder.Dimensions));
        var settings = new ResidualKMeansSettings(options.CodeLevels, options.CodesPerLevel, Seed: FitSeed);
        ResidualKMeansFit fit = ResidualKMeans.Fit(vectors, encoder.Dimensions, settings, cancellation);
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

    private static ReadOnlySpan<float> Vector(CatalogueEntry row) => MemoryMarshal.Cast<byte, float>(row.Embedding.Span);
}
