using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Mesh.Testing;

/// <summary>Settings that a test changes while the service runs, as an edited file does.</summary>
public sealed class ReloadableSettings(Dictionary<string, string?> settings) : ConfigurationProvider, IConfigurationSource
{
    public IConfigurationProvider Build(IConfigurationBuilder builder)
    {
        foreach ((string key, string? value) in settings) Set(key, value);
        return this;
    }

    public void Change(string key, string? value) => Change((key, value));

    /// <summary>Several in one reload.</summary>
    public void Change(params (string Key, string? Value)[] changes)
    {
        foreach ((string key, string? value) in changes) Set(key, value);
        OnReload();
    }

    /// <summary>Options bound from these settings alone, for parts that are tested without a service around them.</summary>
    public IOptionsMonitor<T> Monitor<T>(string section) where T : class
    {
        IConfiguration configuration = new ConfigurationBuilder().Add(this).Build();
        return new ServiceCollection().AddOptions<T>().Bind(configuration.GetSection(section)).Services.BuildServiceProvider().GetRequiredService<IOptionsMonitor<T>>();
    }
}
