using System.Text.Json.Nodes;

namespace Mesh.Gateway.OpenApi;

/// <summary>A query parameter that the handler reads as text, as the API means it.</summary>
internal sealed record ParameterDoc(string Name, string Type, string Description, object? Example);

/// <summary>Examples for the Swagger page, written as the JSON that a client sends and gets.</summary>
internal sealed record ExampleDoc(string? Request, string? Response, int Status);

/// <summary>What <see cref="MeshOperations"/> adds to an operation, kept with the endpoint it is about.</summary>
internal static class EndpointDocs
{
    public static RouteHandlerBuilder WithParameters(this RouteHandlerBuilder builder, params ParameterDoc[] parameters)
    {
        foreach (ParameterDoc parameter in parameters) builder.WithMetadata(parameter);
        return builder;
    }

    public static RouteHandlerBuilder WithExample(
        this RouteHandlerBuilder builder, string? request = null, string? response = null, int status = StatusCodes.Status200OK) =>
        builder.WithMetadata(new ExampleDoc(request, response, status));

    /// <summary>Problems that every endpoint may answer with.</summary>
    public static RouteHandlerBuilder WithMeshProblems(this RouteHandlerBuilder builder) =>
        builder.ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status429TooManyRequests);

    /// <summary>Problems of endpoints that take a JSON body.</summary>
    public static RouteHandlerBuilder WithBodyProblems(this RouteHandlerBuilder builder) =>
        builder.ProducesProblem(StatusCodes.Status413PayloadTooLarge).ProducesProblem(StatusCodes.Status415UnsupportedMediaType)
            .ProducesProblem(StatusCodes.Status503ServiceUnavailable).WithMeshProblems();

    internal static JsonNode? Parse(string? json) => json is null ? null : JsonNode.Parse(json);
}
