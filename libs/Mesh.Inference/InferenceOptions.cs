using System.ComponentModel.DataAnnotations;

namespace Mesh.Inference;

/// <summary>What a session does where the configured execution provider cannot be had.</summary>
public enum ProviderMissing
{
    /// <summary>Log why, once, and run on the CPU.</summary>
    Fallback,

    /// <summary>Refuse to start.</summary>
    Refuse,
}

/// <summary>How graphs run. Bound from the <c>Inference</c> section and checked at start-up.</summary>
public sealed class InferenceOptions
{
    public const string Cpu = "cpu";
    public const string Cuda = "cuda";

    /// <summary>Execution provider: "cpu" or "cuda" (needs a build with <c>-p:Gpu=true</c>). Default "cpu".</summary>
    [RegularExpression("^(cpu|cuda)$", ErrorMessage = "Inference:Provider must be cpu or cuda.")]
    public string Provider { get; init; } = Cpu;

    /// <summary>What to do where the provider cannot be loaded. Default Fallback.</summary>
    public ProviderMissing OnProviderMissing { get; init; } = ProviderMissing.Fallback;

    /// <summary>
    /// Threads inside one run. Default 1: with as many runs side by side as there are cores that answers most requests a second,
    /// and a lone request whose candidates are cut into as many runs waits no longer than with more threads (docs/inference.md).
    /// </summary>
    [Range(1, 256)]
    public int IntraOpThreads { get; init; } = 1;

    /// <summary>Runs at once in this process, over all graphs; others wait in order. 0 = cores / threads of a run, at least 1.</summary>
    [Range(0, 1_024)]
    public int ConcurrentRuns { get; init; }

    /// <summary>
    /// Whether the threads of a run spin between its steps, so that none need be woken. They stop at the run's end, as each graph
    /// has a pool of its own. Only for cores that nobody else uses: a thread that lost its core keeps the others spinning. Default false.
    /// </summary>
    public bool AllowSpinning { get; init; }

    /// <summary>Graph optimisation: 0 none, 1 basic, 2 extended, 3 all. Default 3.</summary>
    [Range(0, 3)]
    public int OptimizationLevel { get; init; } = 3;

    /// <summary>Number of the GPU. Default 0.</summary>
    [Range(0, 255)]
    public int CudaDeviceId { get; init; }

    /// <summary>Most memory the GPU's arena of one graph may take, in MiB. 0 = all there is. Default 4,096.</summary>
    [Range(0, 1_048_576)]
    public int CudaMemoryMebibytesMax { get; init; } = 4_096;

    /// <summary>How that arena grows: "kSameAsRequested" wastes nothing, "kNextPowerOfTwo" asks less often. Default the former.</summary>
    [RegularExpression("^(kSameAsRequested|kNextPowerOfTwo)$", ErrorMessage = "Inference:CudaArenaExtend must be kSameAsRequested or kNextPowerOfTwo.")]
    public string CudaArenaExtend { get; init; } = "kSameAsRequested";

    /// <summary>Most bytes of one file of a model package, in MiB: bounds what is read into memory. Default 512.</summary>
    [Range(1, 2_047)]
    public int ModelFileMebibytesMax { get; init; } = 512;

    internal int RunsAtOnce => ConcurrentRuns > 0 ? ConcurrentRuns : Math.Max(1, Environment.ProcessorCount / IntraOpThreads);
}

/// <summary>Where model packages lie, and which one a fresh mesh begins with. Bound from the <c>Models</c> section.</summary>
public sealed class ModelsOptions
{
    /// <summary>Folder of packages, absolute or under the content root. Empty = <c>models</c> beside or above the content root, else beside the binary.</summary>
    public string Root { get; init; } = "";

    /// <summary>
    /// Folder of a package, one name directly under Root. Empty, or not there = none: index-updater encodes items by hashing, the ranker's heuristic
    /// scores. Default "mini".
    /// </summary>
    public string Default { get; init; } = "mini";

    /// <summary>Whether index-updater refuses to start where that package is missing or broken, in place of going on by hashing. Default false.</summary>
    public bool Required { get; init; }
}
