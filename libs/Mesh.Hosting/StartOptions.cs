using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace Mesh.Hosting;

/// <summary>
/// Options that are read and checked at the start and stay as they are. The framework's own way checks them again at each reload of
/// the configuration and throws into whoever reloads, which is the file watcher's thread: one typing error in a settings file
/// would end a healthy service. Options that may change while a service runs are taken by a class of their own, which refuses.
/// </summary>
public static class StartOptions
{
    /// <summary>
    /// Binds a section, checks it at the start (data annotations and every <see cref="IValidateOptions{TOptions}"/>), and logs where it changes
    /// later: an invalid change as an error, any other as waiting for a restart.
    /// </summary>
    public static OptionsBuilder<T> AddStartOptions<T>(this IServiceCollection services, string section) where T : class, new()
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddHostedService(provider => ActivatorUtilities.CreateInstance<StartOptionsWatch<T>>(provider, section));

        // Configure and not Bind: that would register the section's change token, at which the framework makes and checks the options anew.
        return services.AddOptions<T>()
            .Configure<IConfiguration>((options, configuration) => configuration.GetSection(section).Bind(options))
            .ValidateDataAnnotations().ValidateOnStart();
    }
}

/// <summary>Says what became of a change that nobody takes.</summary>
internal sealed partial class StartOptionsWatch<T>(
    string section, IConfiguration configuration, IOptions<T> inForce, IEnumerable<IValidateOptions<T>> rules, ILogger<StartOptionsWatch<T>> logger) : IHostedService
    where T : class, new()
{
    private static readonly JsonSerializerOptions AnyNumber = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private readonly string _atStart = Text(inForce.Value);
    private IDisposable? _subscription;
    private string _told = "";

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _subscription = ChangeToken.OnChange(configuration.GetReloadToken, Tell);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        _subscription?.Dispose();
        return Task.CompletedTask;
    }

    // Called for a change of any section: what was told before is not told again.
    private void Tell()
    {
        var changed = new T();
        string[] faults;
        try
        {
            configuration.GetSection(section).Bind(changed);
            faults = [.. rules.Select(rule => rule.Validate(Options.DefaultName, changed)).Where(static result => result.Failed).SelectMany(static result => result.Failures ?? [])];
        }
        catch (InvalidOperationException exception)
        {
            faults = [exception.Message]; // not a number, say
        }

        string told = faults.Length > 0 ? string.Join("; ", faults) : Text(changed) == _atStart ? "" : Text(changed);
        if (told == Interlocked.Exchange(ref _told, told) || told.Length == 0) return;
        if (faults.Length > 0) Refused(logger, section, told);
        else Waits(logger, section);
    }

    private static string Text(T options) => JsonSerializer.Serialize(options, AnyNumber);

    [LoggerMessage(EventId = 12, Level = LogLevel.Error, Message = "New settings of section {Section} cannot be used: {Faults}. Those that the service started with stay in force")]
    private static partial void Refused(ILogger logger, string section, string faults);

    [LoggerMessage(EventId = 13, Level = LogLevel.Warning, Message = "Settings of section {Section} have changed, and are read at the start only: restart the service to have them in force")]
    private static partial void Waits(ILogger logger, string section);
}
