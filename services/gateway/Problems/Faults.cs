namespace Mesh.Gateway.Problems;

/// <summary>
/// The faults of one body or one row, by field, in the order found. Bounded: a row of a thousand bad tags is described by
/// its first faults, so an answer is never much larger than what was sent.
/// </summary>
internal sealed class Faults
{
    private const int MessagesMax = 40;
    private readonly Dictionary<string, List<string>> _byField = new(StringComparer.Ordinal);
    private int _count;

    public bool Any => _count > 0;

    public IEnumerable<string> Fields => _byField.Keys;

    public bool Has(string field) => _byField.ContainsKey(field);

    public void Add(string field, string message)
    {
        if (_count++ >= MessagesMax) return;
        if (!_byField.TryGetValue(field, out List<string>? messages)) _byField[field] = messages = [];
        messages.Add(message);
    }

    public Dictionary<string, string[]> ToErrors() =>
        _byField.ToDictionary(pair => pair.Key, pair => pair.Value.ToArray(), StringComparer.Ordinal);
}
