using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Mesh.Inference;
using Mesh.Snapshots;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Mesh.Testing;

/// <summary>
/// A copy of models/mini with other weights: valid in every way, of another version, and what it makes of an item or a user differs
/// in all vectors and nearly all codes. The largest table of each tower is rotated, and the golden pair computed anew.
/// </summary>
public static class ModelVariant
{
    private static readonly string[] Graphs = ["item", "user"];

    /// <summary>The package in the repository.</summary>
    public static string MiniFolder { get; } = ModelFolder.Find(new ModelsOptions(), AppContext.BaseDirectory).Resolve("mini");

    public static string MiniVersion => ModelPackage.ReadManifest(MiniFolder).Version;

    public static InferenceRuntime NewRuntime() => new(Options.Create(new InferenceOptions()), NullLogger<InferenceRuntime>.Instance);

    /// <summary>Writes the package <paramref name="name"/> under <paramref name="root"/> and returns its version. Another seed is another version.</summary>
    public static string Write(string root, string name, int seed)
    {
        string folder = Directory.CreateDirectory(Path.Combine(root, name)).FullName;
        foreach (string file in Directory.GetFiles(MiniFolder)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        using InferenceRuntime runtime = NewRuntime();
        SafeTensors check = SafeTensors.Read(File.ReadAllBytes(Path.Combine(folder, "check.safetensors")));
        Dictionary<string, SafeTensor> golden = check.Names.ToDictionary(tensor => tensor, tensor => check.Find(tensor)!);
        foreach (string graph in Graphs)
        {
            string path = Path.Combine(folder, $"{graph}.onnx");
            byte[] content = File.ReadAllBytes(path);
            Rotate(MemoryMarshal.Cast<byte, float>(LargestTable(content)), 1_009 * seed);
            File.WriteAllBytes(path, content);
            foreach (SafeTensor output in Run(runtime, graph, content, check)) golden[output.Name] = output;
        }

        File.WriteAllBytes(Path.Combine(folder, "check.safetensors"), SafeTensors.Write(golden.Values));
        return Seal(folder);
    }

    /// <summary>Copies models/mini as it is.</summary>
    public static string CopyMini(string root, string name = "mini")
    {
        string folder = Directory.CreateDirectory(Path.Combine(root, name)).FullName;
        foreach (string file in Directory.GetFiles(MiniFolder)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return MiniVersion;
    }

    private static List<SafeTensor> Run(InferenceRuntime runtime, string graph, byte[] content, SafeTensors check)
    {
        using GraphSession session = runtime.Open(graph, content);
        var inputs = new Dictionary<string, TensorBuffer>(StringComparer.Ordinal);
        foreach (TensorSpec spec in session.Inputs)
        {
            SafeTensor given = check.Find($"{graph}.in.{spec.Name}")!;
            var buffer = new TensorBuffer(spec.Element, [.. given.Shape]);
            if (spec.Element == TensorElement.Float) given.Values<float>().CopyTo(buffer.Floats);
            else given.Values<long>().CopyTo(buffer.Longs);
            inputs.Add(spec.Name, buffer);
        }

        Dictionary<string, TensorBuffer> outputs = session.Outputs.ToDictionary(
            spec => spec.Name, spec => new TensorBuffer(spec.Element, [.. check.Find($"{graph}.out.{spec.Name}")!.Shape]), StringComparer.Ordinal);
        session.Run(inputs, outputs, CancellationToken.None);
        return [.. outputs.Select(output => output.Value.Element == TensorElement.Float
            ? SafeTensor.Of<float>($"{graph}.out.{output.Key}", TensorType.F32, output.Value.Floats, output.Value.Shape.ToArray())
            : SafeTensor.Of<long>($"{graph}.out.{output.Key}", TensorType.I64, output.Value.Longs, output.Value.Shape.ToArray()))];
    }

    /// <summary>Copies models/mini with another graph, golden pair and version made anew; returns the version.</summary>
    /// <param name="graph">"item" or "user".</param>
    public static string WriteWith(string root, string name, string graph, byte[] content)
    {
        CopyMini(root, name);
        string folder = Path.Combine(root, name), checkFile = Path.Combine(folder, "check.safetensors");
        using InferenceRuntime runtime = NewRuntime();
        SafeTensors check = SafeTensors.Read(File.ReadAllBytes(checkFile));
        Dictionary<string, SafeTensor> golden = check.Names.ToDictionary(tensor => tensor, tensor => check.Find(tensor)!);
        foreach (SafeTensor output in Run(runtime, graph, content, check)) golden[output.Name] = output;
        File.WriteAllBytes(Path.Combine(folder, $"{graph}.onnx"), content);
        File.WriteAllBytes(checkFile, SafeTensors.Write(golden.Values));
        return Seal(folder);
    }

    /// <summary>Makes hashes and version of a package right for what its files now hold; returns the version.</summary>
    public static string Seal(string folder)
    {
        string path = Path.Combine(folder, ModelManifest.FileName);
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(path))!;
        var files = new List<ModelFile>();
        foreach (JsonNode? entry in manifest["files"]!.AsArray())
        {
            byte[] content = File.ReadAllBytes(Path.Combine(folder, (string)entry!["name"]!));
            files.Add(new ModelFile((string)entry["name"]!, content.Length, Convert.ToHexStringLower(SHA256.HashData(content))));
            (entry["bytes"], entry["sha256"]) = (files[^1].Bytes, files[^1].Sha256);
        }

        string version = ModelManifest.VersionOf("mini", files);
        manifest["version"] = version;
        File.WriteAllText(path, manifest.ToJsonString(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        return version;
    }

    private static void Rotate(Span<float> values, int by)
    {
        float[] before = values.ToArray();
        for (int i = 0; i < before.Length; i++) values[i] = before[(i + by) % before.Length];
    }

    // ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.data_type = 2 (1 = float32), TensorProto.raw_data = 9.
    private static Span<byte> LargestTable(byte[] model)
    {
        (int Start, int Length) largest = default;
        foreach ((int start, int length) in Fields(model, 0, model.Length, 7))
        {
            foreach ((int tensor, int tensorLength) in Fields(model, start, length, 5))
            {
                foreach ((int data, int dataLength) in Fields(model, tensor, tensorLength, 9))
                {
                    if (dataLength > largest.Length && dataLength % 4 == 0 && IsFloat(model, tensor, tensorLength)) largest = (data, dataLength);
                }
            }
        }

        return model.AsSpan(largest.Start, largest.Length);
    }

    private static bool IsFloat(byte[] model, int start, int length)
    {
        foreach ((uint tag, int at, _) in Walk(model, start, length))
        {
            if (tag == WireFormat.MakeTag(2, WireFormat.WireType.Varint)) return model[at] == 1;
        }

        return false;
    }

    private static IEnumerable<(int Start, int Length)> Fields(byte[] message, int start, int length, int number) =>
        Walk(message, start, length).Where(field => field.Tag == WireFormat.MakeTag(number, WireFormat.WireType.LengthDelimited)).Select(field => (field.Start, field.Length));

    // The fields of a message on the wire, with the place of what each holds.
    private static IEnumerable<(uint Tag, int Start, int Length)> Walk(byte[] message, int start, int length)
    {
        int at = start;
        while (at < start + length)
        {
            uint tag = (uint)Varint(message, ref at);
            int bytes = WireFormat.GetTagWireType(tag) switch
            {
                WireFormat.WireType.LengthDelimited => (int)Varint(message, ref at),
                WireFormat.WireType.Fixed32 => 4,
                WireFormat.WireType.Fixed64 => 8,
                WireFormat.WireType.Varint => VarintLength(message, at),
                var other => throw new InvalidDataException($"A field of wire type {other}."),
            };
            yield return (tag, at, bytes);
            at += bytes;
        }
    }

    private static ulong Varint(byte[] message, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte next = message[at++];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80) return value;
        }
    }

    private static int VarintLength(byte[] message, int at)
    {
        int end = at;
        Varint(message, ref end);
        return end - at;
    }
}
