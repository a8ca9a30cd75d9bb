using Mesh.Contracts;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Scoring;

/// <summary>
/// Weights of the composite score, by action name. Bound from <c>Ranker:Weights</c> and read again whenever the configuration
/// changes; an action that is not named keeps the default weight of contracts/actions.json.
/// </summary>
public sealed class ScoreWeightOptions
{
    /// <summary>Weight per action name, -100..100.</summary>
    public Dictionary<string, float> Weights { get; init; } = [];
}

/// <summary>
/// The weights in force: one immutable vector, swapped when the configuration changes. A change with a fault is refused as a
/// whole and logged; the weights before it stay.
/// </summary>
internal sealed class ScoreWeights : IDisposable
{
    private const float WeightMax = 100;

    private readonly IDisposable? _subscription;

    // Written by the configuration's reload callback, read once per request.
    private volatile float[] _current;

    /// <exception cref="OptionsValidationException">The weights at start have faults.</exception>
    public ScoreWeights(IOptionsMonitor<ScoreWeightOptions> options, ILogger<ScoreWeights> logger)
    {
        if (!TryRead(options.CurrentValue, out float[] weights, out List<string> faults))
        {
            throw new OptionsValidationException("Ranker:Weights", typeof(ScoreWeightOptions), faults);
        }

        _current = weights;
        _subscription = options.OnChange(changed => Change(changed, logger));
    }

    /// <summary>One weight per action, taxonomy order. Never written to.</summary>
    public float[] Current => _current;

    public void Dispose() => _subscription?.Dispose();

    private void Change(ScoreWeightOptions changed, ILogger logger)
    {
        if (TryRead(changed, out float[] weights, out List<string> faults))
        {
            if (weights.AsSpan().SequenceEqual(_current)) return;
            _current = weights;
            Log.WeightsChanged(logger, string.Join(", ", weights));
        }
        else
        {
            Log.WeightsRefused(logger, string.Join("; ", faults));
        }
    }

    private static bool TryRead(ScoreWeightOptions options, out float[] weights, out List<string> faults)
    {
        ActionTaxonomy taxonomy = ActionTaxonomy.Default;
        weights = [.. taxonomy.DefaultWeights];
        faults = [];
        foreach ((string name, float weight) in options.Weights)
        {
            int index = taxonomy.IndexOf(name);
            if (index < 0 || index >= taxonomy.Count) faults.Add($"Ranker:Weights:{name}: no such action; there are {string.Join(", ", taxonomy.Names)}");
            else if (!float.IsFinite(weight) || Math.Abs(weight) > WeightMax) faults.Add($"Ranker:Weights:{name} is {weight}; must be -{WeightMax}..{WeightMax}");
            else weights[index] = weight;
        }

        return faults.Count == 0;
    }
}
