using System.ComponentModel.DataAnnotations;
using Mesh.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Mesh.Hosting.Tests;

public sealed class StartOptionsTests
{
    private const int Refused = 12, Waits = 13;

    private readonly ReloadableSettings _settings = new(new() { ["Small:Size"] = "5" });
    private readonly Logs _logs = new();

    [Fact]
    public async Task An_invalid_change_is_logged_once_and_the_values_of_the_start_stay()
    {
        using IHost host = await StartAsync();

        _settings.Change("Small:Size", "11");
        _settings.Change("Other:Setting", "x");
        _settings.Change("Small:Size", "many");

        Assert.Equal(5, host.Services.GetRequiredService<IOptionsMonitor<SmallOptions>>().CurrentValue.Size);
        string[] told = _logs.Of(Refused);
        Assert.Equal(2, told.Length);
        Assert.Contains("Small", told[0], StringComparison.Ordinal);
        Assert.Contains("between 1 and 10", told[0], StringComparison.Ordinal);
        Assert.Contains("many", told[1], StringComparison.Ordinal);
        Assert.Empty(_logs.Of(Waits));
        await host.StopAsync();
    }

    [Fact]
    public async Task A_valid_change_waits_for_a_restart_and_going_back_is_nothing_to_tell()
    {
        using IHost host = await StartAsync();

        _settings.Change("Small:Size", "6");
        _settings.Change("Small:Size", "5");
        _settings.Change("Small:Size", "6");

        Assert.Equal(5, host.Services.GetRequiredService<IOptions<SmallOptions>>().Value.Size);
        Assert.Equal(2, _logs.Of(Waits).Length);
        await host.StopAsync();
        _settings.Change("Small:Size", "7");
        Assert.Equal(2, _logs.Of(Waits).Length);
    }

    [Fact]
    public async Task Values_that_are_wrong_at_the_start_stop_it()
    {
        OptionsValidationException refused = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(new ReloadableSettings(new() { ["Small:Size"] = "0" })));

        Assert.Contains("between 1 and 10", refused.Message, StringComparison.Ordinal);
    }

    private async Task<IHost> StartAsync(ReloadableSettings? settings = null)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.Sources.Add(settings ?? _settings);
        builder.Logging.AddProvider(_logs);
        builder.Services.AddStartOptions<SmallOptions>("Small");
        IHost host = builder.Build();
        await host.StartAsync();
        return host;
    }

    internal sealed class SmallOptions
    {
        [Range(1, 10)]
        public int Size { get; init; } = 1;
    }
}
