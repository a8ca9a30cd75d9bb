using Mesh.Snapshots;

namespace Mesh.Inference;

/// <summary>
/// Runs a graph on the inputs in check.safetensors and compares with what PyTorch gave there. A graph that another build of
/// the runtime, another processor or another provider computes differently is refused before it scores anybody.
/// </summary>
internal static class GoldenCheck
{
    public const string FileName = "check.safetensors";

    /// <summary>Largest difference of a float that is let pass. Exports are tested to 1e-4 on the CPU; GPUs and int8 take more.</summary>
    public const float DifferenceMax = 1e-3f;

    /// <summary>The largest difference seen.</summary>
    public static float Run(GraphSession session, SafeTensors check, CancellationToken cancellation)
    {
        Dictionary<string, TensorBuffer> inputs = session.Inputs.ToDictionary(input => input.Name, input => Read(session, input, InputOf(session, input, check)));
        (TensorBuffer Actual, SafeTensor Expected, TensorSpec Spec)[] outputs = [.. session.Outputs.Select(output =>
        {
            SafeTensor expected = OutputOf(session, output, check);
            return (new TensorBuffer(output.Element, [.. expected.Shape]), expected, output);
        })];

        session.Run(inputs, outputs.ToDictionary(output => output.Spec.Name, output => output.Actual), cancellation);
        return outputs.Max(output => Compare(session.Name, output.Spec, output.Expected, output.Actual));
    }

    /// <summary>What the graph must give, as the file has it: of the type and shape that the graph declares, so no larger than the file.</summary>
    public static SafeTensor OutputOf(GraphSession session, TensorSpec output, SafeTensors check)
    {
        SafeTensor expected = Find(check, $"{PrefixOf(session)}.out.{output.Name}");
        return Fits(output, expected) ? expected : throw new ModelRejectedException($"{Describe(expected)}; {session.Name} gives {output}.");
    }

    // A candidate graph's state is what the context graph gave: it need not lie in the file twice.
    private static SafeTensor InputOf(GraphSession session, TensorSpec input, SafeTensors check)
    {
        string name = $"{PrefixOf(session)}.in.{input.Name}";
        return check.Find(name) ?? check.Find($"context.out.{input.Name}") ?? Find(check, name);
    }

    private static string PrefixOf(GraphSession session) => Path.GetFileNameWithoutExtension(session.Name);

    private static SafeTensor Find(SafeTensors check, string name) =>
        check.Find(name) ?? throw new ModelRejectedException($"{FileName} has no tensor '{name}'; every input and output of a graph must be there.");

    private static TensorBuffer Read(GraphSession session, TensorSpec spec, SafeTensor tensor)
    {
        if (!Fits(spec, tensor)) throw new ModelRejectedException($"{Describe(tensor)}; {session.Name} takes {spec}.");
        var buffer = new TensorBuffer(spec.Element, [.. tensor.Shape]);
        tensor.Data.Span.CopyTo(buffer.AllBytes);
        return buffer;
    }

    // A tensor without elements shows nothing, and one without dimensions has no batch.
    private static bool Fits(TensorSpec spec, SafeTensor tensor) =>
        tensor.Type == (spec.Element == TensorElement.Float ? TensorType.F32 : TensorType.I64)
        && tensor.Shape.Count > 0 && tensor.Shape.All(length => length > 0) && spec.Fits(spec.Element, tensor.Shape);

    private static string Describe(SafeTensor tensor) => $"{FileName}: '{tensor.Name}' is {tensor.Type}[{string.Join(',', tensor.Shape)}]";

    private static float Compare(string file, TensorSpec spec, SafeTensor expected, TensorBuffer actual)
    {
        if (spec.Element == TensorElement.Int64)
        {
            int differs = actual.Longs.CommonPrefixLength(expected.Values<long>());
            if (differs == actual.Length) return 0;
            throw new ModelRejectedException(
                $"{file}: '{spec.Name}' is {actual.Longs[differs]} at element {differs}; {FileName} says {expected.Values<long>()[differs]}. Integers must be equal.");
        }

        ReadOnlySpan<float> want = expected.Values<float>(), have = actual.Floats;
        float largest = 0;
        for (int i = 0; i < want.Length; i++)
        {
            float difference = Math.Abs(want[i] - have[i]);
            if (!(difference <= DifferenceMax)) // not a number is not close either
            {
                throw new ModelRejectedException($"{file}: '{spec.Name}' is {have[i]} at element {i}; {FileName} says {want[i]}. They may differ by {DifferenceMax}.");
            }

            largest = Math.Max(largest, difference);
        }

        return largest;
    }
}
