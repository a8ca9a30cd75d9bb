using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

internal enum FilterField
{
    Tag,
    Author,
    Language,
    Safety,
    Item,
    Attribute,
}

/// <summary>One question about a row: does its field hold this value, exactly? <paramref name="Key"/> names the attribute.</summary>
internal sealed record FilterTerm(FilterField Field, string Key, string Value)
{
    /// <summary>Values are compared by code point; languages and safety, which are not case-sensitive, without case.</summary>
    public bool Holds(RowState state) => Field switch
    {
        FilterField.Tag => Array.IndexOf(state.Facts.Tags, Value) >= 0,
        FilterField.Author => state.Facts.AuthorId == Value,
        FilterField.Language => string.Equals(state.Facts.Language, Value, StringComparison.OrdinalIgnoreCase),
        FilterField.Safety => string.Equals(state.Eligibility.Safety, Value, StringComparison.OrdinalIgnoreCase),
        FilterField.Item => state.Facts.ItemId == Value,
        _ => Array.Exists(state.Facts.Attributes, pair => pair.Key == Key && pair.Value == Value),
    };
}

internal enum FilterOperator
{
    Term,
    And,
    Or,
    Not,
}

/// <summary>One step of a plan; <paramref name="Term"/> is set where the operator is Term.</summary>
internal readonly record struct FilterStep(FilterOperator Operator, FilterTerm? Term);

/// <summary>
/// A filter compiled to postfix: evaluated with a bit per open operand and no recursion, so the cost of a row is the
/// number of steps. Exact: NOT is never wrong.
/// </summary>
internal sealed class FilterPlan
{
    /// <summary>The empty filter: every row.</summary>
    public static readonly FilterPlan All = new([]);

    private readonly FilterStep[] _steps;
    private readonly int _operandsMax;
    private BitPlan? _compiled;

    public FilterPlan(IEnumerable<FilterStep> steps)
    {
        _steps = [.. steps];
        int operands = 0;
        foreach (FilterStep step in _steps)
        {
            operands += step.Operator switch { FilterOperator.Term => 1, FilterOperator.Not => 0, _ => -1 };
            _operandsMax = Math.Max(_operandsMax, operands);
        }
    }

    public IReadOnlyList<FilterStep> Steps => _steps;

    /// <summary>What the index that was asked last has made of this filter; any thread may put another one.</summary>
    public BitPlan? Compiled
    {
        get => Volatile.Read(ref _compiled);
        set => Volatile.Write(ref _compiled, value);
    }

    public bool Admits(RowState state)
    {
        if (_steps.Length == 0) return true;

        // Depth is at most 32 levels with two open operands each, so this is under 100 bytes of stack.
        Span<bool> operands = stackalloc bool[_operandsMax];
        int count = 0;
        foreach (ref readonly FilterStep step in _steps.AsSpan())
        {
            switch (step.Operator)
            {
                case FilterOperator.Term:
                    operands[count++] = step.Term!.Holds(state);
                    break;
                case FilterOperator.Not:
                    operands[count - 1] = !operands[count - 1];
                    break;
                case FilterOperator.And:
                    count--;
                    operands[count - 1] &= operands[count];
                    break;
                default:
                    count--;
                    operands[count - 1] |= operands[count];
                    break;
            }
        }

        return operands[0];
    }
}
