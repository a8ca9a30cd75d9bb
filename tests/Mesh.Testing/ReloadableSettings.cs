using Microsoft.Extensions.Configuration;

namespace Mesh.Testing;

/// <summary>Settings that a test changes while the service runs, as an edited file does.</summary>
public sealed class ReloadableSettings(Dictionary<string, string?> settings) : ConfigurationProvider, IConfigurationSource
{
    public IConfigurationProvider Build(IConfigurationBuilder builder)
    {
        foreach ((string key, string? value) in settings) Set(key, value);
        return this;
    }

    public void Change(string key, string? value)
    {
        Set(key, value);
        OnReload();
    }
}
