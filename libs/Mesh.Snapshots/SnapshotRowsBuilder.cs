using System.Runtime.InteropServices;
using Google.Protobuf.Collections;
using Mesh.Contracts;

namespace Mesh.Snapshots;

/// <summary>
/// Collects consecutive rows into the columns of one row file. The layout, n rows of d dimensions and l code levels:
/// <c>embeddings</c> F32 [n, d] · <c>codes</c> U16 [n, l] (not there before the codebooks are) · <c>created_at_ms</c>,
/// <c>duration_ms</c>, <c>counters_as_of_ms</c> I64 [n] · <c>counters</c> F32 [n, 15] · <c>version</c> I64 [n] ·
/// <c>hidden</c> U8 [n] · <c>present</c> U8 [n] (bits: counters, eligibility, codes) · strings <c>item_id, author_id, text,
/// language, safety</c> · lists <c>tags, eligible_languages, eligible_regions, attributes</c> (key, value, key, value, ...).
/// An <see cref="ItemRow"/> comes back from it exactly.
/// </summary>
internal sealed class SnapshotRowsBuilder(int dimensions, int codeLevels)
{
    internal const byte HasCounters = 1;
    internal const byte HasEligibility = 2;
    internal const byte HasCodes = 4;
    internal static readonly int CounterCount = ActionTaxonomy.Default.CounterCount;

    private readonly List<byte> _embeddings = [];
    private readonly List<ushort> _codes = [];
    private readonly List<long> _createdAtMs = [];
    private readonly List<long> _durationMs = [];
    private readonly List<float> _counters = [];
    private readonly List<long> _countersAsOfMs = [];
    private readonly List<long> _versions = [];
    private readonly List<byte> _hidden = [];
    private readonly List<byte> _present = [];
    private readonly StringColumnBuilder _itemId = new("item_id");
    private readonly StringColumnBuilder _authorId = new("author_id");
    private readonly StringColumnBuilder _text = new("text");
    private readonly StringColumnBuilder _language = new("language");
    private readonly StringColumnBuilder _safety = new("safety");
    private readonly StringListColumnBuilder _tags = new("tags");
    private readonly StringListColumnBuilder _languages = new("eligible_languages");
    private readonly StringListColumnBuilder _regions = new("eligible_regions");
    private readonly StringListColumnBuilder _attributes = new("attributes");

    public int Count => _versions.Count;

    /// <summary>Bytes of the tensors so far; the header comes on top, about 3 KB.</summary>
    public long Size => _embeddings.Count + (2L * _codes.Count) + (4L * _counters.Count) + (34L * Count)
        + _itemId.Size + _authorId.Size + _text.Size + _language.Size + _safety.Size
        + _tags.Size + _languages.Size + _regions.Size + _attributes.Size;

    /// <exception cref="ArgumentException">The row does not fit the snapshot: no item, or another embedding, code or counter width.</exception>
    public void Add(ItemRow row)
    {
        Check(row);
        Item item = row.Item;
        int start = _embeddings.Count;
        CollectionsMarshal.SetCount(_embeddings, start + row.Embedding.Length);
        row.Embedding.Span.CopyTo(CollectionsMarshal.AsSpan(_embeddings)[start..]);
        for (int level = 0; level < codeLevels; level++) _codes.Add(row.Codes.Count == 0 ? (ushort)0 : (ushort)row.Codes[level]);
        for (int i = 0; i < CounterCount; i++) _counters.Add(row.Counters is null ? 0 : row.Counters.Counts[i]);

        _createdAtMs.Add(item.CreatedAtMs);
        _durationMs.Add(item.DurationMs);
        _countersAsOfMs.Add(row.Counters?.AsOfMs ?? 0);
        _versions.Add(unchecked((long)row.Version));
        _hidden.Add(row.Eligibility is { Hidden: true } ? (byte)1 : (byte)0);
        _present.Add((byte)((row.Counters is null ? 0 : HasCounters) | (row.Eligibility is null ? 0 : HasEligibility) | (row.Codes.Count == 0 ? 0 : HasCodes)));
        _itemId.Add(item.ItemId);
        _authorId.Add(item.AuthorId);
        _text.Add(item.Text);
        _language.Add(item.Language);
        _safety.Add(row.Eligibility?.Safety ?? "");
        _tags.Add(item.Tags);
        _languages.Add(row.Eligibility?.Languages ?? []);
        _regions.Add(row.Eligibility?.Regions ?? []);
        _attributes.Add(Flatten(item.Attributes));
    }

    public byte[] Build()
    {
        int rows = Count;
        List<SafeTensor> tensors =
        [
            new SafeTensor("embeddings", TensorType.F32, [rows, dimensions], _embeddings.ToArray()),
            Longs("created_at_ms", _createdAtMs),
            Longs("duration_ms", _durationMs),
            Longs("counters_as_of_ms", _countersAsOfMs),
            Longs("version", _versions),
            SafeTensor.Of<float>("counters", TensorType.F32, CollectionsMarshal.AsSpan(_counters), rows, CounterCount),
            SafeTensor.Of<byte>("hidden", TensorType.U8, CollectionsMarshal.AsSpan(_hidden), rows),
            SafeTensor.Of<byte>("present", TensorType.U8, CollectionsMarshal.AsSpan(_present), rows),
            .. _itemId.Build(), .. _authorId.Build(), .. _text.Build(), .. _language.Build(), .. _safety.Build(),
            .. _tags.Build(), .. _languages.Build(), .. _regions.Build(), .. _attributes.Build(),
        ];
        if (codeLevels > 0) tensors.Add(SafeTensor.Of<ushort>("codes", TensorType.U16, CollectionsMarshal.AsSpan(_codes), rows, codeLevels));
        return SafeTensors.Write(tensors);
    }

    private static SafeTensor Longs(string name, List<long> values) =>
        SafeTensor.Of<long>(name, TensorType.I64, CollectionsMarshal.AsSpan(values), values.Count);

    // By key, so that the same catalogue gives the same bytes.
    private static IEnumerable<string> Flatten(MapField<string, string> attributes) =>
        attributes.OrderBy(attribute => attribute.Key, StringComparer.Ordinal).SelectMany(attribute => new[] { attribute.Key, attribute.Value });

    private void Check(ItemRow row)
    {
        string id = row.Item?.ItemId ?? throw new ArgumentException("A row needs its item.", nameof(row));
        if (row.Embedding.Length != 4 * dimensions)
        {
            throw new ArgumentException($"Row '{id}' has an embedding of {row.Embedding.Length} bytes; {dimensions} dimensions take {4 * dimensions}.", nameof(row));
        }

        if (row.Codes.Count != 0 && row.Codes.Count != codeLevels)
        {
            throw new ArgumentException($"Row '{id}' has {row.Codes.Count} codes; the snapshot has {codeLevels} levels.", nameof(row));
        }

        if (row.Codes.Any(code => code > ushort.MaxValue)) throw new ArgumentException($"Row '{id}' has a code over 16 bits.", nameof(row));
        if (row.Counters is not null && row.Counters.Counts.Count != CounterCount)
        {
            throw new ArgumentException($"Row '{id}' has {row.Counters.Counts.Count} counters; there are {CounterCount}.", nameof(row));
        }
    }
}
