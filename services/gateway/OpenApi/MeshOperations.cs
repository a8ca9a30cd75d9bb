using System.Text.Json.Nodes;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace Mesh.Gateway.OpenApi;

/// <summary>Adds to each operation what its endpoint says of parameters and examples.</summary>
internal sealed class MeshOperations : IOperationFilter
{
    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        IList<object> metadata = context.ApiDescription.ActionDescriptor.EndpointMetadata;
        foreach (ParameterDoc doc in metadata.OfType<ParameterDoc>()) Describe(operation, doc);
        if (metadata.OfType<ExampleDoc>().FirstOrDefault() is not { } example) return;

        if (operation.RequestBody?.Content is { } requests) SetExample(requests, EndpointDocs.Parse(example.Request));
        string status = example.Status.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (operation.Responses is { } responses && responses.TryGetValue(status, out IOpenApiResponse? response) && response.Content is { } answers)
        {
            SetExample(answers, EndpointDocs.Parse(example.Response));
        }
    }

    private static void Describe(OpenApiOperation operation, ParameterDoc doc)
    {
        if (operation.Parameters?.FirstOrDefault(parameter => string.Equals(parameter.Name, doc.Name, StringComparison.OrdinalIgnoreCase)) is not OpenApiParameter found)
            return;
        found.Name = doc.Name;
        found.Description = doc.Description;
        found.Schema = new OpenApiSchema
        {
            Type = doc.Type switch { "integer" => JsonSchemaType.Integer, "boolean" => JsonSchemaType.Boolean, _ => JsonSchemaType.String },
        };
        if (doc.Example is not null) found.Example = JsonNode.Parse(System.Text.Json.JsonSerializer.Serialize(doc.Example));
    }

    private static void SetExample<TMedia>(IDictionary<string, TMedia> content, JsonNode? example)
    {
        if (example is null) return;
        foreach (TMedia media in content.Values)
        {
            if (media is OpenApiMediaType type) type.Example = example.DeepClone();
        }
    }
}
