using System.Runtime.InteropServices;
using System.Text;
using Google.Protobuf;

namespace Mesh.Testing;

/// <summary>
/// Writes a small ONNX graph, for what an exporter would not give: graphs that fail their runs, or give what is not a number. Field
/// numbers are those of onnx.proto, IR version 8, opset 17. A dimension of -1 is free.
/// </summary>
public sealed class OnnxGraph
{
    private const int IrVersion = 8, Opset = 17, Float = 1, Int64 = 7;

    private readonly MemoryStream _graph = new();

    public OnnxGraph Input(string name, bool isFloat, params int[] shape) => Add(11, ValueInfo(name, isFloat, shape));

    public OnnxGraph Output(string name, bool isFloat, params int[] shape) => Add(12, ValueInfo(name, isFloat, shape));

    /// <summary>A node of an operator that needs no attributes.</summary>
    public OnnxGraph Node(string operation, string output, params string[] inputs) => Add(1, Message(node =>
    {
        foreach (string input in inputs) Text(node, 1, input);
        Text(node, 2, output);
        Text(node, 4, operation);
    }));

    public OnnxGraph Constant(string name, float[] values, params int[] shape) => Add(5, Tensor(name, Float, MemoryMarshal.AsBytes<float>(values).ToArray(), shape));

    public OnnxGraph Constant(string name, long[] values, params int[] shape) => Add(5, Tensor(name, Int64, MemoryMarshal.AsBytes<long>(values).ToArray(), shape));

    public byte[] ToArray() => Message(model =>
    {
        Number(model, 1, IrVersion);
        Bytes(model, 8, Message(opset => Number(opset, 2, Opset)));
        Bytes(model, 7, [.. Message(graph => Text(graph, 2, "test")), .. _graph.ToArray()]);
    });

    private OnnxGraph Add(int field, byte[] message)
    {
        _graph.Write(Message(graph => Bytes(graph, field, message)));
        return this;
    }

    private static byte[] ValueInfo(string name, bool isFloat, int[] shape) => Message(value =>
    {
        Text(value, 1, name);
        Bytes(value, 2, Message(type => Bytes(type, 1, Message(tensor =>
        {
            Number(tensor, 1, isFloat ? Float : Int64);
            Bytes(tensor, 2, Message(dimensions =>
            {
                for (int i = 0; i < shape.Length; i++) Bytes(dimensions, 1, Dimension(shape[i], i));
            }));
        }))));
    });

    private static byte[] Dimension(int length, int index) => Message(dimension =>
    {
        if (length >= 0) Number(dimension, 1, length);
        else Text(dimension, 2, index == 0 ? "batch" : $"free_{index}");
    });

    private static byte[] Tensor(string name, int type, byte[] data, int[] shape) => Message(tensor =>
    {
        foreach (int length in shape) Number(tensor, 1, length);
        Number(tensor, 2, type);
        Text(tensor, 8, name);
        Bytes(tensor, 9, data);
    });

    private static byte[] Message(Action<CodedOutputStream> write)
    {
        using var buffer = new MemoryStream();
        using var stream = new CodedOutputStream(buffer, leaveOpen: true);
        write(stream);
        stream.Flush();
        return buffer.ToArray();
    }

    private static void Number(CodedOutputStream stream, int field, long value)
    {
        stream.WriteTag(field, WireFormat.WireType.Varint);
        stream.WriteInt64(value);
    }

    private static void Text(CodedOutputStream stream, int field, string text) => Bytes(stream, field, Encoding.UTF8.GetBytes(text));

    private static void Bytes(CodedOutputStream stream, int field, byte[] bytes)
    {
        stream.WriteTag(field, WireFormat.WireType.LengthDelimited);
        stream.WriteBytes(ByteString.CopyFrom(bytes));
    }
}
