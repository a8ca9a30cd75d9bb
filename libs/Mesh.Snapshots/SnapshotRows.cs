using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Snapshots;

/// <summary>
/// One row file, as columns over the bytes that were read: numbers are spans without a copy, strings are decoded when
/// asked for. Safe for many readers. Every shape and offset was checked when the file was opened.
/// </summary>
public sealed class SnapshotRows
{
    private readonly string _modelVersion;
    private readonly SafeTensor _embeddings;
    private readonly SafeTensor? _codes;
    private readonly SafeTensor _createdAtMs;
    private readonly SafeTensor _durationMs;
    private readonly SafeTensor _counters;
    private readonly SafeTensor _countersAsOfMs;
    private readonly SafeTensor _versions;
    private readonly SafeTensor _hidden;
    private readonly SafeTensor _present;
    private readonly StringColumn _itemId;
    private readonly StringColumn _authorId;
    private readonly StringColumn _text;
    private readonly StringColumn _language;
    private readonly StringColumn _safety;
    private readonly StringListColumn _tags;
    private readonly StringListColumn _languages;
    private readonly StringListColumn _regions;
    private readonly StringListColumn _attributes;

    private SnapshotRows(SafeTensors file, long firstRow, string modelVersion)
    {
        _modelVersion = modelVersion;
        FirstRow = firstRow;
        _versions = file.Require("version", TensorType.I64, -1);
        long rows = _versions.Shape[0];
        Count = (int)rows;
        _embeddings = file.Require("embeddings", TensorType.F32, rows, -1);
        Dimensions = (int)_embeddings.Shape[1];
        if (file.Find("codes") is not null)
        {
            _codes = file.Require("codes", TensorType.U16, rows, -1);
            CodeLevels = (int)_codes.Shape[1];
        }

        _createdAtMs = file.Require("created_at_ms", TensorType.I64, rows);
        _durationMs = file.Require("duration_ms", TensorType.I64, rows);
        _counters = file.Require("counters", TensorType.F32, rows, SnapshotRowsBuilder.CounterCount);
        _countersAsOfMs = file.Require("counters_as_of_ms", TensorType.I64, rows);
        _hidden = file.Require("hidden", TensorType.U8, rows);
        _present = file.Require("present", TensorType.U8, rows);
        _itemId = new StringColumn(file, "item_id", rows);
        _authorId = new StringColumn(file, "author_id", rows);
        _text = new StringColumn(file, "text", rows);
        _language = new StringColumn(file, "language", rows);
        _safety = new StringColumn(file, "safety", rows);
        _tags = new StringListColumn(file, "tags", rows);
        _languages = new StringListColumn(file, "eligible_languages", rows);
        _regions = new StringListColumn(file, "eligible_regions", rows);
        _attributes = new StringListColumn(file, "attributes", rows);
    }

    /// <summary>Number of this file's first row in the whole snapshot, from 0.</summary>
    public long FirstRow { get; }

    /// <summary>Rows in this file, n.</summary>
    public int Count { get; }

    public int Dimensions { get; }

    /// <summary>0 before codebooks exist.</summary>
    public int CodeLevels { get; }

    /// <summary>[n, dimensions], row-major, L2 norm 1.</summary>
    public ReadOnlySpan<float> Embeddings => _embeddings.Values<float>();

    /// <summary>[n, code levels], row-major; empty before codebooks exist. A row without codes (see <see cref="HasCodes"/>) holds zeros.</summary>
    public ReadOnlySpan<ushort> Codes => _codes is null ? [] : _codes.Values<ushort>();

    /// <summary>[n, 15]: the 14 actions in taxonomy order, then impressions, each as of <see cref="CountersAsOfMs"/>.</summary>
    public ReadOnlySpan<float> Counters => _counters.Values<float>();

    /// <summary>[n], Unix milliseconds; 0 where the row has no counters.</summary>
    public ReadOnlySpan<long> CountersAsOfMs => _countersAsOfMs.Values<long>();

    /// <summary>[n], Unix milliseconds.</summary>
    public ReadOnlySpan<long> CreatedAtMs => _createdAtMs.Values<long>();

    /// <summary>[n], sequence number of the delta that changed the row last.</summary>
    public ReadOnlySpan<ulong> Versions => MemoryMarshal.Cast<long, ulong>(_versions.Values<long>());

    public string ItemId(int row) => _itemId[row];

    public string AuthorId(int row) => _authorId[row];

    public string Text(int row) => _text[row];

    /// <summary>[n], milliseconds.</summary>
    public ReadOnlySpan<long> DurationMs => _durationMs.Values<long>();

    public string AuthorId(int row, StringPool pool, ref long ownBytes) => _authorId.Take(row, pool, ref ownBytes);

    public string Language(int row, StringPool pool, ref long ownBytes) => _language.Take(row, pool, ref ownBytes);

    public string[] Tags(int row, StringPool pool, ref long ownBytes) => _tags.Take(row, pool, ref ownBytes);

    /// <summary>Name, value, name, value, ...</summary>
    /// <exception cref="SnapshotFormatException">The last name has no value.</exception>
    public string[] Attributes(int row, StringPool pool, ref long ownBytes)
    {
        string[] attributes = _attributes.Take(row, pool, ref ownBytes);
        return attributes.Length % 2 == 0 ? attributes : throw new SnapshotFormatException($"Row {row} has an attribute without a value.");
    }

    /// <summary>Whether the row has <see cref="Counters"/>; they are zeros where it has none.</summary>
    public bool HasCounters(int row) => (_present.Data.Span[row] & SnapshotRowsBuilder.HasCounters) != 0;

    /// <summary>Who may see the row; null where nothing is said.</summary>
    public Eligibility? EligibilityAt(int row) => (_present.Data.Span[row] & SnapshotRowsBuilder.HasEligibility) != 0 ? EligibilityOf(row) : null;

    /// <summary>Whether the row's eligibility, if any, says nothing at all: not hidden, everybody, no safety label.</summary>
    public bool IsForEverybody(int row) =>
        _hidden.Data.Span[row] == 0 && _languages.IsEmpty(row) && _regions.IsEmpty(row) && _safety.IsEmpty(row);

    public bool HasCodes(int row) => _codes is not null && (_present.Data.Span[row] & SnapshotRowsBuilder.HasCodes) != 0;

    /// <summary>The row as the message that a delta would carry: equal to what was written.</summary>
    public ItemRow ToItemRow(int row)
    {
        byte present = _present.Data.Span[row];
        var item = new Item
        {
            ItemId = _itemId[row],
            AuthorId = _authorId[row],
            Text = _text[row],
            Tags = { _tags[row] },
            CreatedAtMs = _createdAtMs.Values<long>()[row],
            Language = _language[row],
            DurationMs = _durationMs.Values<long>()[row],
        };
        string[] attributes = _attributes[row];
        if (attributes.Length % 2 != 0) throw new SnapshotFormatException($"Row {row} has an attribute without a value.");
        for (int i = 0; i < attributes.Length; i += 2) item.Attributes[attributes[i]] = attributes[i + 1];

        var itemRow = new ItemRow
        {
            Item = item,
            Embedding = ByteString.CopyFrom(_embeddings.Data.Span.Slice(row * Dimensions * 4, Dimensions * 4)),
            Version = Versions[row],
            ModelVersion = _modelVersion,
        };
        if (HasCodes(row))
        {
            foreach (ushort code in Codes.Slice(row * CodeLevels, CodeLevels)) itemRow.Codes.Add(code);
        }

        if (HasCounters(row)) itemRow.Counters = CountersOf(row);
        if ((present & SnapshotRowsBuilder.HasEligibility) != 0) itemRow.Eligibility = EligibilityOf(row);
        return itemRow;
    }

    /// <summary>Opens one row file. The bytes stay in use.</summary>
    /// <param name="modelVersion">Of the snapshot: every row is of it.</param>
    /// <exception cref="SnapshotFormatException">It is not a row file, or is damaged.</exception>
    public static SnapshotRows Read(ReadOnlyMemory<byte> file, long firstRow = 0, string modelVersion = "") => new(SafeTensors.Read(file), firstRow, modelVersion);

    private Counters CountersOf(int row)
    {
        var counters = new Counters { AsOfMs = CountersAsOfMs[row] };
        counters.Counts.Capacity = SnapshotRowsBuilder.CounterCount;
        foreach (float count in Counters.Slice(row * SnapshotRowsBuilder.CounterCount, SnapshotRowsBuilder.CounterCount)) counters.Counts.Add(count);
        return counters;
    }

    private Eligibility EligibilityOf(int row) => new()
    {
        Hidden = _hidden.Data.Span[row] != 0,
        Languages = { _languages[row] },
        Regions = { _regions[row] },
        Safety = _safety[row],
    };
}
