using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Input;
using Mesh.Gateway.Problems;

namespace Mesh.Gateway.Items;

/// <summary>Who may see an item. Only the fields that are given change; an empty list means everywhere.</summary>
/// <param name="Safety">"" (not judged), "safe", "sensitive" or "restricted".</param>
public sealed record EligibilityInput(bool? Hidden, IReadOnlyList<string>? Languages, IReadOnlyList<string>? Regions, string? Safety)
{
    internal static EligibilityInput Bind(JsonElement element, out Faults faults)
    {
        JsonRow row = JsonRow.Open(element);
        faults = row.Faults;
        return new EligibilityInput(
            row.Boolean("hidden"), row.Texts("languages", Rules.ListMax), row.Texts("regions", Rules.ListMax), row.Text("safety"));
    }

    internal EligibilityChange ToChange(string eventId, string itemId, long nowMs)
    {
        var change = new EligibilityChange { EventId = eventId, TimeMs = nowMs, ItemId = itemId, Eligibility = new Eligibility() };
        if (Hidden is { } hidden)
        {
            change.Eligibility.Hidden = hidden;
            change.Fields.Add("hidden");
        }

        if (Languages is not null)
        {
            change.Eligibility.Languages.Add(Languages.Distinct(StringComparer.OrdinalIgnoreCase));
            change.Fields.Add("languages");
        }

        if (Regions is not null)
        {
            change.Eligibility.Regions.Add(Regions.Distinct(StringComparer.OrdinalIgnoreCase));
            change.Fields.Add("regions");
        }

        if (Safety is not null)
        {
            change.Eligibility.Safety = Safety;
            change.Fields.Add("safety");
        }

        return change;
    }
}

internal sealed class EligibilityInputValidator : AbstractValidator<EligibilityInput>
{
    public EligibilityInputValidator()
    {
        RuleFor(input => input).Must(
            input => input.Hidden is not null || input.Languages is not null || input.Regions is not null || input.Safety is not null)
            .OverridePropertyName("$").WithMessage("Nothing is to change: give at least one of hidden, languages, regions, safety.");
        RuleForEach(input => input.Languages).Must(language => language is not null && Rules.IsLanguage(language))
            .WithMessage((_, language) => $"language {Shown.Value(language)} is not a BCP 47 tag such as en or pt-BR.");
        RuleForEach(input => input.Regions).Must(region => region is not null && Rules.IsRegion(region))
            .WithMessage((_, region) => $"region {Shown.Value(region)} is not a region: two letters (ISO 3166) or three digits (UN M.49).");
        RuleFor(input => input.Safety).Must(safety => safety is null or "" or "safe" or "sensitive" or "restricted")
            .WithMessage((_, safety) => $"safety {Shown.Value(safety)} is not one of \"\", safe, sensitive, restricted.");
    }
}
