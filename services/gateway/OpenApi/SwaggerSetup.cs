using Mesh.Gateway.Access;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace Mesh.Gateway.OpenApi;

/// <summary>The API's description at /swagger/v1/swagger.json, and its page at /swagger.</summary>
internal static class SwaggerSetup
{
    public static void AddMeshSwagger(this IServiceCollection services, bool hasApiKeys)
    {
        services.AddEndpointsApiExplorer();
        services.AddSwaggerGen(swagger =>
        {
            swagger.SwaggerDoc("v1", new OpenApiInfo
            {
                Title = "FeedMesh", Version = "v1",
                Description = "Items and events in, ranked feeds out. Errors are problem details (RFC 9457) that name every fault at once; limits are in docs/limits.md.",
            });
            swagger.OperationFilter<MeshOperations>();
            string comments = Path.Combine(AppContext.BaseDirectory, $"{typeof(SwaggerSetup).Assembly.GetName().Name}.xml");
            if (File.Exists(comments)) swagger.IncludeXmlComments(comments);
            if (hasApiKeys) AddApiKey(swagger);
        });
    }

    private static void AddApiKey(SwaggerGenOptions swagger)
    {
        swagger.AddSecurityDefinition(
            "key", new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = ApiKeys.Header });
        swagger.AddSecurityRequirement(
            document => new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("key", document)] = [] });
    }
}
