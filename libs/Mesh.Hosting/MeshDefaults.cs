using System.Reflection;
using System.Text.Json;
using Mesh.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Mesh.Hosting;

/// <summary>What every service has in common: limits, telemetry, health, the sidecar's clients, deadlines.</summary>
public static class MeshDefaults
{
    /// <summary>Tag of health checks that decide readiness (<c>/readyz</c>); all checks decide <c>/healthz</c> only by being alive.</summary>
    public const string ReadyTag = "ready";

    private static readonly string? BuildVersion =
        Assembly.GetEntryAssembly()?.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;

    /// <summary>
    /// Registers the defaults. The service listens where <c>APP_PORT</c> (set by the host, as by <c>dapr run</c>) or
    /// <c>ASPNETCORE_URLS</c> says.
    /// </summary>
    public static void AddMeshDefaults(this WebApplicationBuilder builder, string appId)
    {
        ArgumentNullException.ThrowIfNull(builder);
        if (Environment.GetEnvironmentVariable("APP_PORT") is { Length: > 0 } port && string.IsNullOrEmpty(builder.Configuration["urls"]))
        {
            builder.Configuration["urls"] = $"http://127.0.0.1:{port}";
        }

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = Limits.BodyBytesMax;
        });
        builder.Logging.ClearProviders().AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.UseUtcTimestamp = true;
        });
        builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning).AddFilter("System.Net.Http.HttpClient", LogLevel.Warning)
            // /readyz says what is not ready to whoever asks; a service that is loading is asked several times a second.
            .AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));

        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(new AppIdentity(appId));
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.Converters.Add(new ProtobufJsonConverterFactory()));
        builder.Services.AddProblemDetails();
        builder.Services.AddHealthChecks();
        builder.Services.AddMeshSidecar();
        builder.Services.AddHostedService<ParentWatch>();
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable("MESH_PARENT_PID"))) builder.Services.AddSingleton<IHostLifetime, SupervisedLifetime>();
        builder.AddMeshTelemetry(appId);
    }

    /// <summary>
    /// Maps <c>/healthz</c>, <c>/readyz</c>, <c>/metrics</c> and <c>/dapr/subscribe</c>, and puts the deadline and the
    /// API-token check in front. Call before mapping the service's own endpoints.
    /// </summary>
    /// <param name="requireApiToken">Whether every endpoint is for the sidecar only; the gateway, which clients call
    /// directly, says false and protects its topic routes itself.</param>
    public static void MapMeshDefaults(this WebApplication app, bool requireApiToken = true)
    {
        ArgumentNullException.ThrowIfNull(app);
        app.UseExceptionHandler(new ExceptionHandlerOptions
        {
            StatusCodeSelector = fault => fault is BadHttpRequestException bad ? bad.StatusCode : StatusCodes.Status500InternalServerError,
        });
        app.UseStatusCodePages();
        if (requireApiToken) app.UseMiddleware<AppApiToken>();
        app.UseMiddleware<Deadline>();

        app.MapHealthChecks("/healthz", new HealthCheckOptions { Predicate = _ => false }).ExcludeFromDescription();
        app.MapHealthChecks("/readyz", new HealthCheckOptions { Predicate = check => check.Tags.Contains(ReadyTag), ResponseWriter = WriteReadiness })
            .ExcludeFromDescription();
        app.MapPrometheusScrapingEndpoint("/metrics");
        app.MapSubscribeHandler();
    }

    private static Task WriteReadiness(HttpContext context, HealthReport report)
    {
        var faults = report.Entries.Where(entry => entry.Value.Status != HealthStatus.Healthy)
            .ToDictionary(entry => entry.Key, entry => entry.Value.Description ?? entry.Value.Exception?.Message ?? "not ready");
        return context.Response.WriteAsJsonAsync(
            new { status = report.Status.ToString(), version = BuildVersion, notReady = faults }, JsonSerializerOptions.Web);
    }

    private static void AddMeshTelemetry(this WebApplicationBuilder builder, string appId)
    {
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(appId, serviceNamespace: "feedmesh"))
            .WithMetrics(metrics => metrics.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation().AddRuntimeInstrumentation()
                .AddMeter("Mesh.*").AddPrometheusExporter())
            .WithTracing(tracing => tracing.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation().AddSource("Mesh.*"));
        if (!string.IsNullOrEmpty(builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
        {
            telemetry.WithMetrics(metrics => metrics.AddOtlpExporter()).WithTracing(tracing => tracing.AddOtlpExporter());
        }
    }
}

/// <summary>Which service this process is.</summary>
public sealed record AppIdentity(string AppId);
