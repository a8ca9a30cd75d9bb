using Microsoft.ML.OnnxRuntime;

namespace Mesh.Inference;

/// <summary>
/// One open graph. Runs read and write the caller's buffers in place; they are safe from any thread, go through the runtime's
/// gate, and end early when cancelled. Disposing while runs are under way lets them finish.
/// </summary>
public sealed class GraphSession : Leased
{
    private readonly InferenceSession _session;
    private readonly InferenceRuntime _runtime;

    internal GraphSession(string name, InferenceSession session, InferenceRuntime runtime)
    {
        (Name, _session, _runtime) = (name, session, runtime);
        try
        {
            Inputs = [.. session.InputMetadata.Select(input => TensorSpec.Of(name, input.Key, input.Value))];
            Outputs = [.. session.OutputMetadata.Select(output => TensorSpec.Of(name, output.Key, output.Value))];
        }
        catch (ModelRejectedException)
        {
            session.Dispose();
            throw;
        }
    }

    public string Name { get; }

    /// <summary>As the graph declares them. An exporter leaves out what the graph does not read.</summary>
    public IReadOnlyList<TensorSpec> Inputs { get; }

    public IReadOnlyList<TensorSpec> Outputs { get; }

    /// <summary>Runs the graph, waiting for a free place without holding a thread.</summary>
    /// <param name="inputs">By name; what the graph does not read is left alone.</param>
    /// <param name="outputs">By name, of the shape that the graph gives; outputs without a buffer are not handed out.</param>
    /// <exception cref="OnnxRuntimeException">A shape is not one that the graph takes, or memory ran out.</exception>
    /// <exception cref="ObjectDisposedException">The graph was thrown away: get its successor.</exception>
    public async Task RunAsync(
        IReadOnlyDictionary<string, TensorBuffer> inputs, IReadOnlyDictionary<string, TensorBuffer> outputs, CancellationToken cancellation)
    {
        await _runtime.Gate.WaitAsync(cancellation);
        try
        {
            RunInside(inputs, outputs, cancellation);
        }
        finally
        {
            _runtime.Gate.Release();
        }
    }

    /// <summary>As <see cref="RunAsync"/>, for threads of the caller's own: it holds the thread while it waits.</summary>
    public void Run(IReadOnlyDictionary<string, TensorBuffer> inputs, IReadOnlyDictionary<string, TensorBuffer> outputs, CancellationToken cancellation)
    {
        _runtime.Gate.Wait(cancellation);
        try
        {
            RunInside(inputs, outputs, cancellation);
        }
        finally
        {
            _runtime.Gate.Release();
        }
    }

    protected override void Release() => _session.Dispose();

    private void RunInside(IReadOnlyDictionary<string, TensorBuffer> inputs, IReadOnlyDictionary<string, TensorBuffer> outputs, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(outputs);
        cancellation.ThrowIfCancellationRequested();
        ObjectDisposedException.ThrowIf(!TryLease(), this);
        var views = new List<OrtValue>(Inputs.Count + Outputs.Count);
        try
        {
            using OrtIoBinding binding = _session.CreateIoBinding();
            using var options = new RunOptions();
            foreach (TensorSpec input in Inputs)
            {
                if (!inputs.TryGetValue(input.Name, out TensorBuffer? buffer)) throw new ArgumentException($"{Name} needs the input {input}; it was not given.", nameof(inputs));
                binding.BindInput(input.Name, View(buffer, input, views));
            }

            foreach (TensorSpec output in Outputs)
            {
                if (outputs.TryGetValue(output.Name, out TensorBuffer? buffer)) binding.BindOutput(output.Name, View(buffer, output, views));
                else binding.BindOutputToDevice(output.Name, OrtMemoryInfo.DefaultInstance);
            }

            using CancellationTokenRegistration stop = cancellation.UnsafeRegister(static state => ((RunOptions)state!).Terminate = true, options);
            _session.RunWithBinding(options, binding);
            binding.SynchronizeBoundOutputs();
        }
        catch (OnnxRuntimeException exception) when (cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException($"{Name} was stopped: {exception.Message}", exception, cancellation);
        }
        finally
        {
            foreach (OrtValue view in views) view.Dispose();
            Return();
            GC.KeepAlive(inputs);
            GC.KeepAlive(outputs);
        }
    }

    private OrtValue View(TensorBuffer buffer, TensorSpec spec, List<OrtValue> views)
    {
        if (!spec.Fits(buffer.Element, buffer.Shape.ToArray()))
        {
            throw new ArgumentException($"{Name}: the buffer for {spec} is {buffer.Element}[{string.Join(',', buffer.Shape.ToArray())}].");
        }

        OrtValue view = buffer.ToOrtValue();
        views.Add(view);
        return view;
    }
}
