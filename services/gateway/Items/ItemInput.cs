using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Input;
using Mesh.Gateway.Problems;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Items;

/// <summary>One thing that can be shown, as clients send it.</summary>
/// <param name="CreatedAt">ISO 8601 or Unix milliseconds; absent = now.</param>
public sealed record ItemInput(
    string? ItemId, string? AuthorId, string? Text, IReadOnlyList<string>? Tags, long? CreatedAt, string? Language, long? DurationMs,
    IReadOnlyDictionary<string, string>? Attributes)
{
    /// <summary>Reads one row; what cannot be read is in <paramref name="faults"/>.</summary>
    /// <param name="pathId">Id from the URL, where there is one: the body may leave it out but not contradict it.</param>
    internal static ItemInput Bind(JsonElement element, string? pathId, out Faults faults)
    {
        JsonRow row = JsonRow.Open(element);
        faults = row.Faults;
        string? itemId = row.Text("itemId");
        if (pathId is not null && itemId is not null && itemId != pathId)
        {
            faults.Add(
                "itemId", $"itemId {Shown.Value(itemId)} in the body is not the {Shown.Value(pathId)} of the URL; leave it out or make them equal.");
        }

        return new ItemInput(
            pathId ?? itemId, row.Text("authorId"), row.Text("text"), row.Texts("tags", Limits.TagsMax), row.Time("createdAt"), row.Text("language"),
            row.Integer("durationMs"), row.Map("attributes", Limits.AttributesMax));
    }

    internal Item ToItem(long nowMs)
    {
        var item = new Item
        {
            ItemId = ItemId, AuthorId = AuthorId, Text = Text ?? "", CreatedAtMs = CreatedAt ?? nowMs, Language = Language ?? "", DurationMs = DurationMs ?? 0,
        };
        if (Tags is not null) item.Tags.Add(Tags.Distinct(StringComparer.Ordinal));
        foreach ((string key, string value) in Attributes ?? new Dictionary<string, string>()) item.Attributes[key] = value;
        return item;
    }
}

internal sealed class ItemInputValidator : AbstractValidator<ItemInput>
{
    private const long DurationMsMax = 7L * 24 * 60 * 60 * 1000;

    public ItemInputValidator(IOptions<GatewayOptions> options, TimeProvider clock)
    {
        RuleFor(item => item.ItemId).IsId("itemId");
        RuleFor(item => item.AuthorId).IsId("authorId");
        RuleFor(item => item.Text)
            .Must(text => text is null || text.Length <= Limits.TextLengthMax)
            .WithMessage((_, text) => $"text {Shown.Value(text)} is too long: at most {Limits.TextLengthMax} characters.")
            .Must(text => text is null || !Rules.HasControl(text, allowLineBreaks: true))
            .WithMessage((_, text) => $"text {Shown.Value(text)} holds a control character other than a line break or a tab.");
        RuleForEach(item => item.Tags)
            .Must(tag => tag is { Length: >= 1 and <= Rules.TagLengthMax } && !Rules.HasControl(tag, false))
            .WithMessage(
                (_, tag) => $"tag {Shown.Value(tag)} is not allowed: 1-{Rules.TagLengthMax} characters, none of them a control character.");
        RuleFor(item => item.CreatedAt).IsMomentOrAbsent("createdAt", Moment.OldestItemMs, clock, options.Value.FutureHoursMax);
        RuleFor(item => item.Language)
            .Must(language => string.IsNullOrEmpty(language) || Rules.IsLanguage(language))
            .WithMessage((_, language) => $"language {Shown.Value(language)} is not a BCP 47 tag such as en or pt-BR.");
        RuleFor(item => item.DurationMs)
            .Must(duration => duration is null or (>= 0 and <= DurationMsMax))
            .WithMessage((_, duration) => $"durationMs {duration} is out of range: 0-{DurationMsMax} milliseconds (7 days).");
        RuleFor(item => item.Attributes)
            .Must(attributes => attributes is null || attributes.Keys.All(IsKey))
            .WithMessage(
                (_, attributes) => $"attributes key {Shown.Value(attributes!.Keys.First(key => !IsKey(key)))} is not allowed: 1-{Rules.AttributeKeyLengthMax} characters of A-Z a-z 0-9 _ . -")
            .Must(attributes => attributes is null || attributes.Values.All(IsValue))
            .WithMessage(
                (_, attributes) => $"attributes value {Shown.Value(attributes!.Values.First(value => !IsValue(value)))} is not allowed: at most {Rules.AttributeValueLengthMax} characters, none of them a control character.");
    }

    private static bool IsKey(string key) =>
        key.Length is >= 1 and <= Rules.AttributeKeyLengthMax && key.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');

    private static bool IsValue(string value) => value.Length <= Rules.AttributeValueLengthMax && !Rules.HasControl(value, false);
}
