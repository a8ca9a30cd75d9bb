namespace Mesh.Retrieval.Requests;

/// <summary>
/// Lets at most N retrieve calls run at once and turns the next one away at once: the work is CPU only, so a queue would
/// spend the callers' budgets on waiting and answer all of them late.
/// </summary>
internal sealed class AdmissionGate(int callsMax)
{
    private int _calls; // changed by every request, interlocked

    public int CallsMax => callsMax;

    public bool TryEnter()
    {
        if (Interlocked.Increment(ref _calls) <= callsMax) return true;
        Interlocked.Decrement(ref _calls);
        return false;
    }

    public void Exit() => Interlocked.Decrement(ref _calls);
}
