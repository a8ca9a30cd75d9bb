using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Tests;

/// <summary>Options that a test changes, as a reload of the configuration does.</summary>
internal sealed class ChangingOptions<T>(T value) : IOptionsMonitor<T>
{
    private Action<T, string?>? _listener;

    public T CurrentValue { get; private set; } = value;

    public T Get(string? name) => CurrentValue;

    public IDisposable? OnChange(Action<T, string?> listener)
    {
        _listener += listener;
        return null;
    }

    public void Change(T value)
    {
        CurrentValue = value;
        _listener?.Invoke(value, null);
    }
}
