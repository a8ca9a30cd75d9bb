namespace Mesh.Retrieval.Values;

internal enum ValueOperator
{
    Number,
    Column,
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Min,
    Max,
    Pow,
    Log1p,
    Exp,
    Sqrt,
    Clamp,
    If,
}

/// <summary>One step of a formula. <paramref name="Number"/> is of Number, <paramref name="Column"/> (a place in the formula's columns) of Column.</summary>
internal readonly record struct ValueStep(ValueOperator Operator, double Number = 0, int Column = 0);

/// <summary>
/// A value formula compiled to postfix over doubles: no recursion, no branch on the data and nothing allocated per row. What is not a
/// number stays one through every operator that looks at it, so that a fault reaches the result and is counted there.
/// </summary>
internal sealed class ValueFormula
{
    private readonly ValueStep[] _steps;
    private readonly ValueColumn[] _columns;

    public ValueFormula(string text, IEnumerable<ValueStep> steps, IEnumerable<ValueColumn> columns)
    {
        Text = text;
        _steps = [.. steps];
        _columns = [.. columns];
        int operands = 0;
        foreach (ValueStep step in _steps)
        {
            operands += 1 - OperandsOf(step.Operator);
            OperandsMax = Math.Max(OperandsMax, operands);
        }
    }

    /// <summary>As it was written.</summary>
    public string Text { get; }

    /// <summary>Each column that the formula reads, once.</summary>
    public ReadOnlySpan<ValueColumn> Columns => _columns;

    /// <summary>Operands that are open at once, at most: at most five a level of nesting.</summary>
    public int OperandsMax { get; }

    public bool Reads(ValueField field) => Array.Exists(_columns, column => column.Field == field);

    /// <summary>Whether the formula is this column and nothing else.</summary>
    public bool IsOnly(ValueField field) => _steps is [{ Operator: ValueOperator.Column }] && _columns[0].Field == field;

    /// <param name="columns">The row's <see cref="Columns"/>.</param>
    /// <param name="operands">Scratch of at least <see cref="OperandsMax"/>.</param>
    /// <returns>The value; not finite where the arithmetic left the numbers.</returns>
    public double Evaluate(ReadOnlySpan<double> columns, Span<double> operands)
    {
        int top = -1;
        foreach (ref readonly ValueStep step in _steps.AsSpan())
        {
            switch (OperandsOf(step.Operator))
            {
                case 0:
                    operands[++top] = step.Operator == ValueOperator.Number ? step.Number : columns[step.Column];
                    break;
                case 1:
                    operands[top] = Apply(step.Operator, operands[top]);
                    break;
                case 2:
                    top--;
                    operands[top] = Apply(step.Operator, operands[top], operands[top + 1]);
                    break;
                default:
                    top -= 2;
                    operands[top] = Apply(step.Operator, operands[top], operands[top + 1], operands[top + 2]);
                    break;
            }
        }

        return operands[0];
    }

    // double.LogP1 is Math.Log(x + 1), which is 0 for all that 1 + x rounds away. What the sum lost is put back by the factor
    // x / ((1 + x) - 1) (D. Goldberg, What every computer scientist should know about floating-point arithmetic, theorem 4).
    internal static double Log1p(double x)
    {
        double sum = 1 + x;
        return sum == 1 ? x : Math.Log(sum) * x / (sum - 1);
    }

    private static int OperandsOf(ValueOperator operation) => operation switch
    {
        ValueOperator.Number or ValueOperator.Column => 0,
        ValueOperator.Negate or ValueOperator.Log1p or ValueOperator.Exp or ValueOperator.Sqrt => 1,
        ValueOperator.Clamp or ValueOperator.If => 3,
        _ => 2,
    };

    private static double Apply(ValueOperator operation, double x) => operation switch
    {
        ValueOperator.Negate => -x,
        ValueOperator.Log1p => Log1p(x),
        ValueOperator.Exp => Math.Exp(x),
        _ => Math.Sqrt(x),
    };

    private static double Apply(ValueOperator operation, double x, double y) => operation switch
    {
        ValueOperator.Add => x + y,
        ValueOperator.Subtract => x - y,
        ValueOperator.Multiply => x * y,
        ValueOperator.Divide => x / y,
        ValueOperator.Min => Math.Min(x, y),
        ValueOperator.Max => Math.Max(x, y),
        ValueOperator.Pow => Math.Pow(x, y),
        _ when double.IsNaN(x) || double.IsNaN(y) => double.NaN, // a comparison would make it 0 and hide it
        ValueOperator.Less => x < y ? 1 : 0,
        ValueOperator.LessOrEqual => x <= y ? 1 : 0,
        ValueOperator.Greater => x > y ? 1 : 0,
        _ => x >= y ? 1 : 0,
    };

    // Not Math.Clamp, which throws where the bounds cross: they may be columns.
    private static double Apply(ValueOperator operation, double x, double y, double z)
    {
        if (operation == ValueOperator.Clamp) return Math.Min(Math.Max(x, y), z);
        if (double.IsNaN(x)) return x;
        return x != 0 ? y : z;
    }
}
