using Mesh.Contracts;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Mesh.Inference;

public static class InferenceSetup
{
    /// <summary>Registers <see cref="InferenceRuntime"/> and <see cref="ModelFolder"/>, bound from the sections Inference and Models.</summary>
    public static void AddInference(this IHostApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);

        // Configure and not Bind: both are read at the start, and a change token would check them at each reload and throw into whoever reloads.
        builder.Services.AddOptions<InferenceOptions>().Configure<IConfiguration>(static (options, configuration) => configuration.GetSection("Inference").Bind(options))
            .ValidateDataAnnotations().ValidateOnStart();
        builder.Services.AddOptions<ModelsOptions>().Configure<IConfiguration>(static (options, configuration) => configuration.GetSection("Models").Bind(options)).Validate(
            static models => models.Default.Length == 0 || ModelChangeRules.IsPath(models.Default), $"Models:Default must be empty or {ModelChangeRules.PathRule}.").ValidateOnStart();
        builder.Services.AddSingleton<InferenceRuntime>();
        builder.Services.AddSingleton(provider => ModelFolder.Find(
            provider.GetRequiredService<IOptions<ModelsOptions>>().Value, provider.GetRequiredService<IHostEnvironment>().ContentRootPath));
    }
}
