using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Values;

/// <summary>
/// What sources rank by, as formulas (docs/value-formula.md). Bound from the <c>Retrieval</c> section and read again whenever the
/// configuration changes.
/// </summary>
public sealed class ValueFormulaOptions
{
    /// <summary>Ranks the candidates of two-tower. Default empty: by similarity.</summary>
    public string ValueFormula { get; init; } = "";

    /// <summary>Ranks the candidates of semantic-id within a prefix. Default empty: by trending.</summary>
    public string SemanticIdValueFormula { get; init; } = "";
}

/// <summary>The formulas of one configuration; null where a source ranks by its own score.</summary>
internal sealed record ValueSet(ValueFormula? TwoTower, ValueFormula? SemanticId)
{
    public const string TwoTowerOwn = "similarity";
    public const string SemanticIdOwn = "trending";

    public string TwoTowerText => TwoTower?.Text ?? TwoTowerOwn;

    public string SemanticIdText => SemanticId?.Text ?? SemanticIdOwn;
}

/// <summary>
/// The formulas in force: one immutable set, swapped when the configuration changes. A change with a fault is refused as a whole and
/// logged; the formulas before it stay. A request takes the set once per source, so one answer of a source is of one formula.
/// </summary>
internal sealed class ValueFormulas : IDisposable
{
    private readonly IDisposable? _subscription;
    private readonly RetrievalMetrics _metrics;
    private readonly ILogger<ValueFormulas> _logger;

    // Written by the configuration's reload callback, read by every request.
    private volatile ValueSet _current;

    /// <exception cref="OptionsValidationException">A formula at start has a fault.</exception>
    public ValueFormulas(IOptionsMonitor<ValueFormulaOptions> options, RetrievalMetrics metrics, ILogger<ValueFormulas> logger)
    {
        if (!TryRead(options.CurrentValue, out ValueSet set, out List<string> faults))
        {
            throw new OptionsValidationException(RetrievalOptions.Section, typeof(ValueFormulaOptions), faults);
        }

        _metrics = metrics;
        _logger = logger;
        _current = set;
        _subscription = options.OnChange(Change);
    }

    public ValueSet Current => _current;

    public void Dispose() => _subscription?.Dispose();

    private void Change(ValueFormulaOptions changed)
    {
        if (TryRead(changed, out ValueSet set, out List<string> faults))
        {
            if (set.TwoTowerText == _current.TwoTowerText && set.SemanticIdText == _current.SemanticIdText) return;
            _current = set;
            _metrics.ValueFormulasChanged("taken");
            Log.ValueFormulasChanged(_logger, set.TwoTowerText, set.SemanticIdText);
        }
        else
        {
            _metrics.ValueFormulasChanged("refused");
            Log.ValueFormulasRefused(_logger, string.Join("; ", faults), _current.TwoTowerText, _current.SemanticIdText);
        }
    }

    private static bool TryRead(ValueFormulaOptions options, out ValueSet set, out List<string> faults)
    {
        faults = [];
        set = new ValueSet(
            Read(nameof(ValueFormulaOptions.ValueFormula), options.ValueFormula, ValueField.Similarity, faults),
            Read(nameof(ValueFormulaOptions.SemanticIdValueFormula), options.SemanticIdValueFormula, ValueField.Trending, faults));
        return faults.Count == 0;
    }

    // The source's own score, written as a formula, is the source's own way: no pool is gathered for it.
    private static ValueFormula? Read(string key, string? text, ValueField own, List<string> faults)
    {
        if (!ValueParser.TryParse(text ?? "", out ValueFormula? formula, out string fault)) faults.Add($"{RetrievalOptions.Section}:{key} {fault}");
        return formula is null || formula.IsOnly(own) ? null : formula;
    }
}
