using System.Runtime.InteropServices;
using System.Text;

namespace Mesh.Snapshots;

/// <summary>
/// A column of strings: all UTF-8 bytes in one U8 tensor, and offsets I64 [n + 1], so that string i is bytes
/// offsets[i] .. offsets[i + 1].
/// </summary>
internal sealed class StringColumnBuilder(string name)
{
    private readonly List<byte> _bytes = [];
    private readonly List<long> _offsets = [0];

    /// <summary>Bytes this column takes so far.</summary>
    public long Size => _bytes.Count + (8L * _offsets.Count);

    public int Count => _offsets.Count - 1;

    public void Add(string value)
    {
        int start = _bytes.Count;
        int bytes = Encoding.UTF8.GetByteCount(value);
        CollectionsMarshal.SetCount(_bytes, start + bytes);
        Encoding.UTF8.GetBytes(value, CollectionsMarshal.AsSpan(_bytes)[start..]);
        _offsets.Add(_bytes.Count);
    }

    public IEnumerable<SafeTensor> Build() =>
    [
        SafeTensor.Of<byte>($"{name}.bytes", TensorType.U8, CollectionsMarshal.AsSpan(_bytes), _bytes.Count),
        SafeTensor.Of<long>($"{name}.offsets", TensorType.I64, CollectionsMarshal.AsSpan(_offsets), _offsets.Count),
    ];
}

/// <summary>A column of lists of strings: a string column of all entries, and <c>.rows</c> I64 [n + 1], so that row i owns entries rows[i] .. rows[i + 1].</summary>
internal sealed class StringListColumnBuilder(string name)
{
    private readonly StringColumnBuilder _entries = new(name);
    private readonly List<long> _rows = [0];

    public long Size => _entries.Size + (8L * _rows.Count);

    public void Add(IEnumerable<string> values)
    {
        foreach (string value in values) _entries.Add(value);
        _rows.Add(_entries.Count);
    }

    public IEnumerable<SafeTensor> Build() =>
        _entries.Build().Append(SafeTensor.Of<long>($"{name}.rows", TensorType.I64, CollectionsMarshal.AsSpan(_rows), _rows.Count));
}

/// <summary>Reads a string column, its offsets checked once when it is opened.</summary>
internal sealed class StringColumn
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private readonly SafeTensor _bytes;
    private readonly SafeTensor _offsets;
    private readonly string _name;

    public StringColumn(SafeTensors file, string name, long count = -1)
    {
        _name = name;
        _bytes = file.Require($"{name}.bytes", TensorType.U8, -1);
        _offsets = file.Require($"{name}.offsets", TensorType.I64, count < 0 ? -1 : count + 1);
        Offsets.Check(_offsets, _bytes.Data.Length);
    }

    public int Count => (int)_offsets.Shape[0] - 1;

    public string this[int i]
    {
        get
        {
            ReadOnlySpan<long> offsets = _offsets.Values<long>();
            try
            {
                return Strict.GetString(_bytes.Data.Span[(int)offsets[i]..(int)offsets[i + 1]]);
            }
            catch (DecoderFallbackException exception)
            {
                throw NotUtf8(i, exception);
            }
        }
    }

    public bool IsEmpty(int i)
    {
        ReadOnlySpan<long> offsets = _offsets.Values<long>();
        return offsets[i] == offsets[i + 1];
    }

    /// <summary>Entry i, pooled; see <see cref="StringPool"/>.</summary>
    public string Take(int i, StringPool pool, ref long ownBytes)
    {
        ReadOnlySpan<long> offsets = _offsets.Values<long>();
        try
        {
            return pool.Take(_bytes.Data.Span[(int)offsets[i]..(int)offsets[i + 1]], ref ownBytes);
        }
        catch (DecoderFallbackException exception)
        {
            throw NotUtf8(i, exception);
        }
    }

    private SnapshotFormatException NotUtf8(int i, DecoderFallbackException exception) => new($"Entry {i} of '{_name}' is not UTF-8.", exception);
}

/// <summary>Reads a column of lists of strings.</summary>
internal sealed class StringListColumn
{
    private readonly StringColumn _entries;
    private readonly SafeTensor _rows;

    public StringListColumn(SafeTensors file, string name, long count)
    {
        _entries = new StringColumn(file, name);
        _rows = file.Require($"{name}.rows", TensorType.I64, count + 1);
        Offsets.Check(_rows, _entries.Count);
    }

    public string[] this[int row]
    {
        get
        {
            ReadOnlySpan<long> rows = _rows.Values<long>();
            var values = new string[rows[row + 1] - rows[row]];
            for (int i = 0; i < values.Length; i++) values[i] = _entries[(int)rows[row] + i];
            return values;
        }
    }

    public bool IsEmpty(int row)
    {
        ReadOnlySpan<long> rows = _rows.Values<long>();
        return rows[row] == rows[row + 1];
    }

    /// <summary>The strings of a row, pooled.</summary>
    public string[] Take(int row, StringPool pool, ref long ownBytes)
    {
        ReadOnlySpan<long> rows = _rows.Values<long>();
        int first = (int)rows[row], count = (int)rows[row + 1] - first;
        if (count == 0) return [];
        var values = new string[count];
        for (int i = 0; i < count; i++) values[i] = _entries.Take(first + i, pool, ref ownBytes);
        return values;
    }
}

internal static class Offsets
{
    /// <summary>Offsets start at 0, never fall, and end exactly at <paramref name="end"/>.</summary>
    public static void Check(SafeTensor offsets, long end)
    {
        long previous = 0;
        ReadOnlySpan<long> values = offsets.Values<long>();
        if (values.IsEmpty || values[0] != 0) throw new SnapshotFormatException($"'{offsets.Name}' does not start at 0.");
        foreach (long value in values)
        {
            if (value < previous) throw new SnapshotFormatException($"'{offsets.Name}' falls from {previous} to {value}.");
            previous = value;
        }

        if (previous != end) throw new SnapshotFormatException($"'{offsets.Name}' ends at {previous}, not at {end}.");
    }
}
