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
    /// <param name="graph">Prefix of the tensors, such as "context".</param>
    public static float Run(GraphSession session, string graph, SafeTensors check, CancellationToken cancellation)
    {
        Dictionary<string, TensorBuffer> inputs = session.Inputs.ToDictionary(input => input.Name, input => Read(session, input, InputOf(graph, input, check)));
        (TensorBuffer Actual, SafeTensor Expected, TensorSpec Spec)[] outputs = [.. session.Outputs.Select(output =>
        {
            SafeTensor expected = Find(check, $"{graph}.out.{output.Name}");
            return (new TensorBuffer(output.Element, [.. expected.Shape]), expected, output);
        })];

        session.Run(inputs, outputs.ToDictionary(output => output.Spec.Name, output => output.Actual), cancellation);
        return outputs.Max(output => Compare(session.Name, output.Spec, output.Expected, output.Actual));
    }

    // A candidate graph's state is what the context graph gave: it need not lie in the file twice.
    private static SafeTensor InputOf(string graph, TensorSpec input, SafeTensors check) =>
        check.Find($"{graph}.in.{input.Name}") ?? check.Find($"context.out.{input.Name}") ?? Find(check, $"{graph}.in.{input.Name}");

    private static SafeTensor Find(SafeTensors check, string name) =>
        check.Find(name) ?? throw new ModelRejectedException($"{FileName} has no tensor '{name}'; every input and output of a graph must be there.");

    private static TensorBuffer Read(GraphSession session, TensorSpec spec, SafeTensor tensor)
    {
        TensorType expected = spec.Element == TensorElement.Float ? TensorType.F32 : TensorType.I64;
        if (tensor.Type != expected || !spec.Fits(spec.Element, tensor.Shape))
        {
            throw new ModelRejectedException($"{FileName}: '{tensor.Name}' is {tensor.Type}[{string.Join(',', tensor.Shape)}]; {session.Name} takes {spec}.");
        }

        var buffer = new TensorBuffer(spec.Element, [.. tensor.Shape]);
        tensor.Data.Span.CopyTo(buffer.AllBytes);
        return buffer;
    }

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
