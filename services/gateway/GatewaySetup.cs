using FluentValidation;
using Mesh.Gateway.Access;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Events;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Input;
using Mesh.Gateway.Items;
using Mesh.Gateway.Models;
using Mesh.Gateway.OpenApi;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Pipeline.Plan;
using Mesh.Gateway.Pipeline.Sources;
using Mesh.Gateway.Problems;
using Mesh.Gateway.Shards;
using Mesh.Gateway.SystemView;
using Mesh.Gateway.Users;
using Mesh.Hosting;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway;

/// <summary>Every registration of the gateway, and the order of what stands in front of its endpoints.</summary>
internal static class GatewaySetup
{
    private const string DefaultUrl = "http://localhost:8080";

    // 1,000 excluded ids of 128 characters and a cursor fit into one URL.
    private const int RequestLineBytesMax = 160 * 1024;

    public static void AddGateway(this WebApplicationBuilder builder)
    {
        if (string.IsNullOrEmpty(builder.Configuration["urls"]) && string.IsNullOrEmpty(builder.Configuration["http_ports"]))
            builder.Configuration["urls"] = DefaultUrl;
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestLineSize = RequestLineBytesMax);

        // Readiness is polled: what it says is in the answer, not in the log of every poll.
        builder.Logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None);

        IConfigurationSection section = builder.Configuration.GetSection(GatewayOptions.Section);
        IServiceCollection services = builder.Services;
        services.AddStartOptions<GatewayOptions>(GatewayOptions.Section);
        services.AddSingleton<IValidateOptions<GatewayOptions>, GatewayOptionsRules>();
        services.AddSingleton<GatewayMetrics>();
        services.AddSingleton<IRetrievalApps, SidecarRetrievalApps>();
        services.AddSingleton<ShardedRetrieval>();
        services.AddSingleton<IMeshServices, SidecarServices>();
        services.AddSingleton<IEventTopics, SidecarTopics>();

        services.AddSingleton<IValidator<ItemInput>, ItemInputValidator>();
        services.AddSingleton<IValidator<EligibilityInput>, EligibilityInputValidator>();
        services.AddSingleton<IValidator<EventInput>, EventInputValidator>();
        services.AddSingleton<IValidator<ModelInput>, ModelInputValidator>();
        services.AddSingleton<Batch>();
        services.AddSingleton<UserCalls>();

        services.AddSingleton<RememberedTrending>();
        services.AddSingleton<StageCatalog>();
        services.AddSingleton(LoadPlan);
        services.AddSingleton<StageHealth>();
        services.AddSingleton<SideEffectQueue>();
        services.AddHostedService(provider => provider.GetRequiredService<SideEffectQueue>());
        services.AddSingleton<FeedPipeline>();
        services.AddSingleton<FeatureFlags>();
        services.AddSingleton<SystemStatus>();
        services.AddSingleton<ModelStatus>();

        services.AddSingleton<IProblemDetailsWriter, ProblemWriter>();
        services.AddProblemDetails(
            problems => problems.CustomizeProblemDetails = context => ProblemWriter.Describe(context.HttpContext, context.ProblemDetails));
        services.AddExceptionHandler<ExceptionProblems>();
        services.AddRateLimiter();
        services.AddSingleton<IConfigureOptions<RateLimiterOptions>, RateLimits>();
        services.AddHealthChecks().AddCheck<SidecarCheck>("sidecar", tags: [MeshDefaults.ReadyTag], timeout: TimeSpan.FromSeconds(2));
        services.AddMeshSwagger(hasApiKeys: section.GetSection(nameof(GatewayOptions.ApiKeys)).GetChildren().Any());
    }

    /// <summary>What a public edge must do before anything else reads the request.</summary>
    public static void UseGatewayEdge(this WebApplication app) => app.Use((context, next) =>
    {
        // The budget header is for hops inside the mesh; the gateway is where a budget starts.
        context.Request.Headers.Remove(Deadline.Header);
        return next(context);
    });

    public static void MapGateway(this WebApplication app)
    {
        // The pipeline file is read before the first request: a gateway with a faulty one does not start.
        PipelinePlan plan = app.Services.GetRequiredService<PipelinePlan>();
        Log.PipelineLoaded(
            app.Logger, app.Services.GetRequiredService<IOptions<GatewayOptions>>().Value.PipelineFile, string.Join(" > ", plan.StageNames));

        app.UseMiddleware<ApiKeys>();
        app.UseRateLimiter();
        app.UseSwagger();
        app.UseSwaggerUI(page => page.SwaggerEndpoint("/swagger/v1/swagger.json", "FeedMesh v1"));
        app.MapItems();
        app.MapEvents();
        app.MapFeed();
        app.MapUsers();
        app.MapModels();
        app.MapSystem();
    }

    private static PipelinePlan LoadPlan(IServiceProvider services)
    {
        string file = Path.Combine(AppContext.BaseDirectory, services.GetRequiredService<IOptions<GatewayOptions>>().Value.PipelineFile);
        if (!File.Exists(file)) throw new PipelineFileException(file, ["the file does not exist; Gateway:PipelineFile names it"]);
        using StreamReader text = File.OpenText(file);
        return services.GetRequiredService<StageCatalog>().Build(PipelineFile.Parse(file, text));
    }
}
