using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Input;
using Mesh.Gateway.Problems;

namespace Mesh.Gateway.Models;

/// <summary>The model package that is to go live.</summary>
/// <param name="Version">As its manifest.json says.</param>
/// <param name="Path">Its folder under Models:Root of the services, such as "mini".</param>
public sealed record ModelInput(string? Version, string? Path)
{
    internal static ModelInput Bind(JsonElement element, out Faults faults)
    {
        JsonRow row = JsonRow.Open(element);
        faults = row.Faults;
        return new ModelInput(row.Text("version"), row.Text("path"));
    }

    internal ModelChange ToChange(DateTimeOffset now) =>
        new() { EventId = Ulid.NewUlid(now).ToString(), TimeMs = now.ToUnixTimeMilliseconds(), Version = Version, Path = Path };
}

internal sealed class ModelInputValidator : AbstractValidator<ModelInput>
{
    public ModelInputValidator()
    {
        RuleFor(input => input.Version).IsId("version");

        // The services look no further than their Models:Root; a path that leaves it is a mistake, and better told here.
        RuleFor(input => input.Path).Must(ModelChangeRules.IsPath)
            .WithMessage((_, path) => path is null ? $"path is missing: {ModelChangeRules.PathRule}." : $"path {Shown.Value(path)} is not {ModelChangeRules.PathRule}.");
    }
}
