using System.Buffers.Binary;
using System.Text.Json;

namespace Mesh.Snapshots;

/// <summary>
/// A file in the public safetensors format: 8 bytes of little-endian header length, a JSON header {name: {dtype, shape,
/// data_offsets}}, then the tensors without gaps. Files may come from anywhere, so every claim of the header is checked
/// against the bytes before anything is read by it.
/// </summary>
public sealed class SafeTensors
{
    /// <summary>Longest header that is read: 16 MiB. The snapshots here have headers of about 3 KB.</summary>
    public const int HeaderBytesMax = 16 * 1024 * 1024;

    private const string MetadataKey = "__metadata__";
    private readonly Dictionary<string, SafeTensor> _tensors;

    private SafeTensors(Dictionary<string, SafeTensor> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        _tensors = tensors;
        Metadata = metadata;
    }

    /// <summary>Free text of the header's <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    public IReadOnlyCollection<string> Names => _tensors.Keys;

    public SafeTensor? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <summary>A tensor that must be there, with this type and shape; -1 in the shape stands for any length.</summary>
    /// <exception cref="SnapshotFormatException">It is not there, or is another.</exception>
    public SafeTensor Require(string name, TensorType type, params ReadOnlySpan<long> shape)
    {
        if (!_tensors.TryGetValue(name, out SafeTensor? tensor)) throw new SnapshotFormatException($"The file has no tensor '{name}'.");
        bool fits = tensor.Type == type && tensor.Shape.Count == shape.Length;
        for (int i = 0; fits && i < shape.Length; i++) fits = shape[i] < 0 || shape[i] == tensor.Shape[i];
        if (!fits)
        {
            throw new SnapshotFormatException(
                $"Tensor '{name}' is {tensor.Type}[{string.Join(',', tensor.Shape)}]; expected {type}[{string.Join(',', shape.ToArray())}].");
        }

        return tensor;
    }

    /// <summary>Reads a file without copying its tensors: they stay views of <paramref name="file"/>.</summary>
    /// <exception cref="SnapshotFormatException">The file breaks a rule of the format; the message says which.</exception>
    public static SafeTensors Read(ReadOnlyMemory<byte> file)
    {
        if (file.Length < 8) throw new SnapshotFormatException($"The file has {file.Length} bytes; a header length takes 8.");
        ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(file.Span);
        if (headerBytes > HeaderBytesMax || headerBytes > (ulong)(file.Length - 8))
        {
            throw new SnapshotFormatException($"The header claims {headerBytes} bytes; the file has {file.Length - 8} after its length, and the limit is {HeaderBytesMax}.");
        }

        ReadOnlyMemory<byte> data = file[(8 + (int)headerBytes)..];
        JsonDocument header;
        try
        {
            header = JsonDocument.Parse(file.Slice(8, (int)headerBytes), new JsonDocumentOptions { MaxDepth = 8 });
        }
        catch (JsonException exception)
        {
            throw new SnapshotFormatException($"The header is not JSON: {exception.Message}", exception);
        }

        using (header)
        {
            try
            {
                return ReadHeader(header.RootElement, data);
            }
            catch (InvalidOperationException exception)
            {
                // The parser takes strings as bytes; text that is not UTF-8, or half a surrogate pair, shows when it is read.
                throw new SnapshotFormatException($"The header holds text that is not UTF-8: {exception.Message}", exception);
            }
        }
    }

    /// <summary>
    /// Writes tensors to one file. Wide types come first, so that every tensor lies aligned to its width; the header is
    /// padded with spaces to a multiple of 8 for the same reason. The same input gives the same bytes.
    /// </summary>
    public static byte[] Write(IEnumerable<SafeTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        SafeTensor[] ordered = [.. tensors.OrderByDescending(tensor => WidthOf(tensor.Type)).ThenBy(tensor => tensor.Name, StringComparer.Ordinal)];
        byte[] header = WriteHeader(ordered, metadata ?? new Dictionary<string, string>());
        int padded = (header.Length + 7) / 8 * 8;
        long dataBytes = ordered.Sum(tensor => (long)tensor.Data.Length);
        var file = new byte[8 + padded + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)padded);
        header.CopyTo(file, 8);
        file.AsSpan(8 + header.Length, padded - header.Length).Fill((byte)' ');
        int position = 8 + padded;
        foreach (SafeTensor tensor in ordered)
        {
            tensor.Data.Span.CopyTo(file.AsSpan(position));
            position += tensor.Data.Length;
        }

        return file;
    }

    internal static int WidthOf(TensorType type) => type switch
    {
        TensorType.Bool or TensorType.U8 or TensorType.I8 => 1,
        TensorType.U16 or TensorType.I16 or TensorType.F16 or TensorType.BF16 => 2,
        TensorType.U32 or TensorType.I32 or TensorType.F32 => 4,
        TensorType.U64 or TensorType.I64 or TensorType.F64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown tensor type."),
    };

    internal static long SizeOf(string name, TensorType type, IReadOnlyList<long> shape)
    {
        try
        {
            long size = WidthOf(type);
            foreach (long length in shape)
            {
                if (length < 0) throw new SnapshotFormatException($"Tensor '{name}' has a negative length in its shape: {length}.");
                size = checked(size * length);
            }

            return size;
        }
        catch (OverflowException exception)
        {
            throw new SnapshotFormatException($"The shape of tensor '{name}' overflows: {string.Join(',', shape)}.", exception);
        }
    }

    private static SafeTensors ReadHeader(JsonElement header, ReadOnlyMemory<byte> data)
    {
        if (header.ValueKind != JsonValueKind.Object) throw new SnapshotFormatException("The header is not a JSON object.");

        var tensors = new Dictionary<string, SafeTensor>(StringComparer.Ordinal);
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var spans = new List<(long Begin, long End, string Name)>();
        bool metadataSeen = false;
        foreach (JsonProperty entry in header.EnumerateObject())
        {
            if (entry.Name == MetadataKey)
            {
                if (metadataSeen) throw new SnapshotFormatException($"{MetadataKey} is there twice.");
                metadataSeen = true;
                ReadMetadata(entry.Value, metadata);
                continue;
            }

            (SafeTensor tensor, long begin) = ReadTensor(entry, data);
            if (!tensors.TryAdd(entry.Name, tensor)) throw new SnapshotFormatException($"Tensor '{entry.Name}' is there twice.");
            spans.Add((begin, begin + tensor.Data.Length, entry.Name));
        }

        CheckCover(spans, data.Length);
        return new SafeTensors(tensors, metadata);
    }

    private static (SafeTensor Tensor, long Begin) ReadTensor(JsonProperty entry, ReadOnlyMemory<byte> data)
    {
        JsonElement value = entry.Value;
        if (value.ValueKind != JsonValueKind.Object
            || !value.TryGetProperty("dtype", out JsonElement dtype) || dtype.ValueKind != JsonValueKind.String
            || !value.TryGetProperty("shape", out JsonElement shapeJson) || !TryReadLongs(shapeJson, out long[] shape)
            || !value.TryGetProperty("data_offsets", out JsonElement offsetsJson) || !TryReadLongs(offsetsJson, out long[] offsets) || offsets.Length != 2)
        {
            throw new SnapshotFormatException($"Tensor '{entry.Name}' needs a dtype, a shape of integers and two data_offsets.");
        }

        string typeName = dtype.GetString()!;
        string? known = Array.Find(Enum.GetNames<TensorType>(), name => name.Equals(typeName, StringComparison.OrdinalIgnoreCase));
        if (known is null || !typeName.Equals(typeName.ToUpperInvariant(), StringComparison.Ordinal))
        {
            throw new SnapshotFormatException($"Tensor '{entry.Name}' has the dtype '{typeName}'; known are {string.Join(", ", Enum.GetNames<TensorType>())}.");
        }

        (long begin, long end) = (offsets[0], offsets[1]);
        if (begin < 0 || end < begin || end > data.Length)
        {
            throw new SnapshotFormatException($"Tensor '{entry.Name}' lies at {begin}..{end}; the data has {data.Length} bytes.");
        }

        return (new SafeTensor(entry.Name, Enum.Parse<TensorType>(known), shape, data[(int)begin..(int)end]), begin);
    }

    // The format asks that the tensors cover the data exactly: no overlap, no hole, nothing after the last.
    private static void CheckCover(List<(long Begin, long End, string Name)> spans, long dataBytes)
    {
        spans.Sort();
        long position = 0;
        foreach ((long begin, long end, string name) in spans)
        {
            if (begin != position)
            {
                throw new SnapshotFormatException(begin < position ? $"Tensor '{name}' at {begin} overlaps the one before it." : $"There is a hole before tensor '{name}': {position}..{begin}.");
            }

            position = end;
        }

        if (position != dataBytes) throw new SnapshotFormatException($"The tensors end at {position}; the data has {dataBytes} bytes.");
    }

    private static bool TryReadLongs(JsonElement json, out long[] values)
    {
        values = [];
        if (json.ValueKind != JsonValueKind.Array || json.GetArrayLength() > 32) return false;

        values = new long[json.GetArrayLength()];
        for (int i = 0; i < values.Length; i++)
        {
            if (json[i].ValueKind != JsonValueKind.Number || !json[i].TryGetInt64(out values[i])) return false;
        }

        return true;
    }

    private static void ReadMetadata(JsonElement json, Dictionary<string, string> metadata)
    {
        if (json.ValueKind != JsonValueKind.Object) throw new SnapshotFormatException($"{MetadataKey} is not a JSON object.");
        foreach (JsonProperty entry in json.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.String) throw new SnapshotFormatException($"{MetadataKey}.{entry.Name} is not a string.");
            metadata[entry.Name] = entry.Value.GetString()!;
        }
    }

    private static byte[] WriteHeader(SafeTensor[] tensors, IReadOnlyDictionary<string, string> metadata)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject(MetadataKey);
                foreach ((string key, string value) in metadata.OrderBy(entry => entry.Key, StringComparer.Ordinal)) json.WriteString(key, value);
                json.WriteEndObject();
            }

            long position = 0;
            foreach (SafeTensor tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type.ToString().ToUpperInvariant());
                json.WriteStartArray("shape");
                foreach (long length in tensor.Shape) json.WriteNumberValue(length);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(position);
                json.WriteNumberValue(position += tensor.Data.Length);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        return buffer.ToArray();
    }
}
