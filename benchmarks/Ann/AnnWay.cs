namespace Mesh.Benchmarks.Ann;

/// <summary>One way to search, with one knob: turned up, it finds more and takes longer.</summary>
internal abstract class AnnWay(string name, int knobMax)
{
    public string Name => name;

    /// <summary>The knob goes from 1 to this; 1 where there is none.</summary>
    public int KnobMax => knobMax;

    /// <summary>Whether the way is meant for such filters.</summary>
    public virtual bool Serves(AnnFilterSet filters) => true;

    /// <summary>Settings that change the time and not the answer; the better counts.</summary>
    public virtual int Variants(AnnFilterSet filters, bool isBatch) => 1;

    /// <summary>A way that finds the same rows by the same knob, in another time; null where there is none.</summary>
    public virtual AnnWay? Twin => null;

    public virtual string Describe(int knob, int variant) => knobMax == 1 ? name : $"{name} p{knob}";

    /// <summary>Row numbers found for each query, and the seconds of all queries one after the other.</summary>
    public abstract Task<(int[][] Rows, double Seconds)> AnswerAsync(AnnFilterSet filters, int k, int knob, CancellationToken cancellation);

    /// <summary>Queries per second over whole passes: one at a time, or batches of 16 on two cores.</summary>
    public abstract Task<double> RunAsync(AnnFilterSet filters, int k, int knob, bool isBatch, int variant, double seconds, CancellationToken cancellation);
}
