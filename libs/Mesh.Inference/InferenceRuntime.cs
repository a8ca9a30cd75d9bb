using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.ML.OnnxRuntime;

namespace Mesh.Inference;

/// <summary>
/// Opens graphs in the configured way and holds the one gate through which all of them run: more runs at once than cores only
/// make each other late. One per process.
/// </summary>
public sealed class InferenceRuntime : IDisposable
{
    private readonly InferenceOptions _options;
    private readonly ILogger<InferenceRuntime> _logger;
    private readonly Lazy<string> _provider;

    public InferenceRuntime(IOptions<InferenceOptions> options, ILogger<InferenceRuntime> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _logger) = (options.Value, logger);
        Gate = new SemaphoreSlim(_options.RunsAtOnce, _options.RunsAtOnce);
        _provider = new Lazy<string>(ChooseProvider);
    }

    /// <summary>The provider that graphs run on: the configured one, or "cpu" where it was missing. Decided once, at the first use.</summary>
    /// <exception cref="ModelRejectedException">It is missing and OnProviderMissing is Refuse.</exception>
    public string Provider => _provider.Value;

    public InferenceOptions Options => _options;

    internal SemaphoreSlim Gate { get; }

    internal ILogger Logger => _logger;

    /// <summary>Opens a graph from its bytes, which are not needed afterwards.</summary>
    /// <param name="name">For messages, such as the file's name.</param>
    /// <exception cref="ModelRejectedException">The bytes are no graph that this runtime can run.</exception>
    public GraphSession Open(string name, byte[] graph)
    {
        ArgumentNullException.ThrowIfNull(graph);
        using SessionOptions options = CreateOptions();
        try
        {
            if (Provider == InferenceOptions.Cuda) AppendCuda(options);
            return new GraphSession(name, new InferenceSession(graph, options), this);
        }
        catch (OnnxRuntimeException exception)
        {
            throw new ModelRejectedException($"{name} ({graph.Length} bytes) is not a graph that ONNX Runtime can run: {exception.Message}", exception);
        }
    }

    public void Dispose() => Gate.Dispose();

    private SessionOptions CreateOptions()
    {
        var options = new SessionOptions
        {
            IntraOpNumThreads = _options.IntraOpThreads,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            GraphOptimizationLevel = _options.OptimizationLevel switch
            {
                0 => GraphOptimizationLevel.ORT_DISABLE_ALL,
                1 => GraphOptimizationLevel.ORT_ENABLE_BASIC,
                2 => GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
                _ => GraphOptimizationLevel.ORT_ENABLE_ALL,
            },
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", _options.AllowSpinning ? "1" : "0");
        options.AddSessionConfigEntry("session.force_spinning_stop", "1");
        return options;
    }

    // Asked once with empty options, not at every graph: two graphs of one model must not run on different providers.
    private string ChooseProvider()
    {
        if (_options.Provider == InferenceOptions.Cpu) return InferenceOptions.Cpu;
        try
        {
            using var trial = new SessionOptions();
            AppendCuda(trial);
            return InferenceOptions.Cuda;
        }
        catch (Exception exception) when (exception is OnnxRuntimeException or EntryPointNotFoundException or DllNotFoundException)
        {
            string reason = $"{exception.Message.Trim()} (compiled in: {string.Join(", ", OrtEnv.Instance().GetAvailableProviders())}). "
                + "CUDA needs a build with -p:Gpu=true and NVIDIA's CUDA and cuDNN libraries on the library path.";
            if (_options.OnProviderMissing == ProviderMissing.Refuse)
            {
                throw new ModelRejectedException($"Inference:Provider is '{_options.Provider}' and Inference:OnProviderMissing is Refuse: {reason}", exception);
            }

            Log.ProviderMissing(_logger, _options.Provider, reason);
            return InferenceOptions.Cpu;
        }
    }

    private void AppendCuda(SessionOptions options)
    {
        var settings = new Dictionary<string, string>
        {
            ["device_id"] = _options.CudaDeviceId.ToString(System.Globalization.CultureInfo.InvariantCulture),
            ["arena_extend_strategy"] = _options.CudaArenaExtend,
        };
        if (_options.CudaMemoryMebibytesMax > 0)
        {
            settings["gpu_mem_limit"] = (_options.CudaMemoryMebibytesMax * 1024L * 1024).ToString(System.Globalization.CultureInfo.InvariantCulture);
        }

        using var cuda = new OrtCUDAProviderOptions();
        cuda.UpdateOptions(settings);
        options.AppendExecutionProvider_CUDA(cuda);
    }
}
