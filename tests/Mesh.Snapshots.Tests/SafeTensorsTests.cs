using System.Buffers.Binary;
using System.Text;

namespace Mesh.Snapshots.Tests;

public sealed class SafeTensorsTests
{
    [Fact]
    public void Tensors_and_metadata_come_back_as_they_were_written()
    {
        byte[] file = SafeTensors.Write(
            [
                SafeTensor.Of<float>("weights", TensorType.F32, [1.5f, -2, float.NaN, 0, 4, 5], 2, 3),
                SafeTensor.Of<long>("ids", TensorType.I64, [long.MinValue, long.MaxValue], 2),
                SafeTensor.Of<int>("counts", TensorType.I32, [7], 1),
                SafeTensor.Of<ushort>("codes", TensorType.U16, [65_535, 0, 1], 3, 1),
                SafeTensor.Of<byte>("bytes", TensorType.U8, [1, 2, 3], 3),
                SafeTensor.Of<byte>("nothing", TensorType.U8, [], 0),
                SafeTensor.Of<double>("scalar", TensorType.F64, [0.25]),
            ],
            new Dictionary<string, string> { ["seed"] = "7", ["quoted \""] = "ü" });

        SafeTensors read = SafeTensors.Read(file);

        Assert.Equal([1.5f, -2, float.NaN, 0, 4, 5], read.Require("weights", TensorType.F32, 2, 3).Values<float>().ToArray());
        Assert.Equal([long.MinValue, long.MaxValue], read.Require("ids", TensorType.I64, -1).Values<long>().ToArray());
        Assert.Equal([7], read.Require("counts", TensorType.I32, 1).Values<int>().ToArray());
        Assert.Equal([65_535, 0, 1], read.Require("codes", TensorType.U16, 3, 1).Values<ushort>().ToArray().Select(code => (int)code));
        Assert.Equal([1, 2, 3], read.Require("bytes", TensorType.U8, 3).Data.ToArray());
        Assert.Empty(read.Require("nothing", TensorType.U8, 0).Data.ToArray());
        Assert.Equal([0.25], read.Require("scalar", TensorType.F64).Values<double>().ToArray());
        Assert.Equal("7", read.Metadata["seed"]);
        Assert.Equal("ü", read.Metadata["quoted \""]);
    }

    [Fact]
    public void A_file_as_the_public_format_describes_it_is_read()
    {
        byte[] file = File("""{"__metadata__":{"format":"pt"},"b":{"dtype":"I32","shape":[2],"data_offsets":[4,12]},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}   """, 12);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(file.Length - 8), 42);

        SafeTensors read = SafeTensors.Read(file);

        Assert.Equal([42, 0], read.Require("b", TensorType.I32, 2).Values<int>().ToArray());
        Assert.Equal(4, read.Require("a", TensorType.BF16, 1, 2).Data.Length);
    }

    [Fact]
    public void Written_tensors_lie_aligned_to_their_width()
    {
        byte[] file = SafeTensors.Write(
            [SafeTensor.Of<byte>("a", TensorType.U8, [1], 1), SafeTensor.Of<long>("b", TensorType.I64, [9], 1), SafeTensor.Of<float>("c", TensorType.F32, [9], 1)]);

        ulong header = BinaryPrimitives.ReadUInt64LittleEndian(file);
        Assert.Equal(0u, header % 8);
        string json = Encoding.UTF8.GetString(file, 8, (int)header);
        Assert.Contains("\"b\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}", json, StringComparison.Ordinal);
        Assert.Contains("\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[12,13]}", json, StringComparison.Ordinal);
    }

    public static TheoryData<string, string, int> HostileHeaders => new()
    {
        { "not JSON", "{", 0 },
        { "not a JSON object", "[]", 0 },
        { "dtype", """{"a":{"shape":[1],"data_offsets":[0,1]}}""", 1 },
        { "dtype 'U9'", """{"a":{"dtype":"U9","shape":[1],"data_offsets":[0,1]}}""", 1 },
        { "dtype '1'", """{"a":{"dtype":"1","shape":[1],"data_offsets":[0,1]}}""", 1 },
        { "shape of integers", """{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}""", 1 },
        { "shape of integers", """{"a":{"dtype":"U8","shape":"1","data_offsets":[0,1]}}""", 1 },
        { "two data_offsets", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}""", 1 },
        { "negative length", """{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}""", 1 },
        { "overflows", """{"a":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""", 0 },
        { "lies at 0..2", """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 1 },
        { "lies at -1..1", """{"a":{"dtype":"U8","shape":[2],"data_offsets":[-1,1]}}""", 2 },
        { "lies at 2..1", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}}""", 2 },
        { "takes 8", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4 },
        { "overlaps", """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""", 3 },
        { "hole", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}""", 3 },
        { "the data has 3", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 3 },
        { "twice", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2 },
        { "not a string", """{"__metadata__":{"a":1}}""", 0 },
        { "not a JSON object", """{"__metadata__":"a"}""", 0 },
    };

    [Theory, MemberData(nameof(HostileHeaders))]
    public void A_header_that_lies_is_refused_with_the_reason(string reason, string header, int dataBytes)
    {
        SnapshotFormatException refused = Assert.Throws<SnapshotFormatException>(() => SafeTensors.Read(File(header, dataBytes)));

        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 63)]
    [InlineData(100UL)]
    public void A_header_length_beyond_the_file_is_refused(ulong length)
    {
        byte[] file = File("{}", 0);
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);

        Assert.Throws<SnapshotFormatException>(() => SafeTensors.Read(file));
    }

    [Fact]
    public void Damage_anywhere_in_a_file_never_gets_past_as_anything_but_a_format_error()
    {
        byte[] good = SafeTensors.Write([SafeTensor.Of<float>("a", TensorType.F32, [1, 2, 3], 3), SafeTensor.Of<byte>("b", TensorType.U8, [1, 2], 2)]);
        var random = new Random(1);
        for (int round = 0; round < 5_000; round++)
        {
            byte[] damaged = [.. good];
            for (int i = random.Next(1, 4); i > 0; i--) damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            int length = random.Next(4) == 0 ? random.Next(damaged.Length) : damaged.Length;
            try
            {
                SafeTensors read = SafeTensors.Read(damaged.AsMemory(0, length));
                foreach (string name in read.Names) Assert.InRange(read.Find(name)!.Data.Length, 0, good.Length);
            }
            catch (SnapshotFormatException)
            {
                // The one failure that may come out.
            }
        }
    }

    [Fact]
    public void A_tensor_of_another_type_or_shape_than_asked_for_is_refused()
    {
        SafeTensors read = SafeTensors.Read(SafeTensors.Write([SafeTensor.Of<float>("a", TensorType.F32, [1, 2], 2)]));

        Assert.Throws<SnapshotFormatException>(() => read.Require("b", TensorType.F32, 2));
        Assert.Throws<SnapshotFormatException>(() => read.Require("a", TensorType.I32, 2));
        Assert.Throws<SnapshotFormatException>(() => read.Require("a", TensorType.F32, 3));
        Assert.Throws<SnapshotFormatException>(() => read.Require("a", TensorType.F32, 2, 1));
        Assert.Throws<SnapshotFormatException>(() => read.Require("a", TensorType.F32, 2).Values<long>().Length);
    }

    private static byte[] File(string header, int dataBytes)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        var file = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)json.Length);
        json.CopyTo(file, 8);
        return file;
    }
}
