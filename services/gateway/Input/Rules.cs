using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Problems;

namespace Mesh.Gateway.Input;

/// <summary>Rules that several validators share. Each message says what is wrong, the value (shortened) and the rule.</summary>
internal static class Rules
{
    public const int SurfaceLengthMax = 64;
    public const int TagLengthMax = 64;
    public const int AttributeKeyLengthMax = 64;
    public const int AttributeValueLengthMax = 256;
    public const int ListMax = 64;

    public static IRuleBuilderOptions<T, string?> IsId<T>(this IRuleBuilder<T, string?> rule, string field) =>
        rule.Must(MeshId.IsValid).WithMessage((_, id) => IdFault(field, id));

    public static IRuleBuilderOptions<T, string?> IsUlidOrAbsent<T>(this IRuleBuilder<T, string?> rule, string field) =>
        rule.Must(id => id is null || MeshId.IsUlid(id)).WithMessage(
            (_, id) => $"{field} {Shown.Value(id)} is not a ULID: 26 characters of Crockford's base 32.");

    public static IRuleBuilderOptions<T, string?> IsLabelOrAbsent<T>(this IRuleBuilder<T, string?> rule, string field, int lengthMax) =>
        rule.Must(text => text is null || (text.Length <= lengthMax && !HasControl(text, false)))
            .WithMessage(
                (_, text) =>
                    $"{field} {Shown.Value(text)} is not allowed: at most {lengthMax} characters, none of them a control character.");

    /// <summary>An id that stands in for the row's absent time: its own must be one that the row could have sent.</summary>
    public static IRuleBuilderOptions<T, string?> HoldsNoFutureMoment<T>(
        this IRuleBuilder<T, string?> rule, string field, TimeProvider clock, int futureHoursMax) =>
        rule.Must(id => !MeshId.IsUlid(id) || Moment.OfUlid(id!) <= FutureLimitMs(clock, futureHoursMax))
            .WithMessage((_, id) =>
                $"{field} {Shown.Value(id)} holds the time {Moment.Format(Moment.OfUlid(id!))}, which counts where time is absent, "
                + $"and is out of range: at most {futureHoursMax} h after now.");

    /// <summary>A moment between the oldest allowed and now plus what clients' clocks may be ahead.</summary>
    public static IRuleBuilderOptions<T, long?> IsMomentOrAbsent<T>(
        this IRuleBuilder<T, long?> rule, string field, long oldestMs, TimeProvider clock, int futureHoursMax) =>
        rule.Must(time => time is not { } ms || (ms >= oldestMs && ms <= FutureLimitMs(clock, futureHoursMax)))
            .WithMessage((_, time) =>
                $"{field} {time} ({Moment.Format(time ?? 0)}) is out of range: "
                + $"from {Moment.Format(oldestMs)} to {futureHoursMax} h after now, in Unix milliseconds.");

    public static string IdFault(string field, string? id) =>
        id is null ? $"{field} is missing: an id, {MeshId.Rule}." : $"{field} {Shown.Value(id)} is not an id: {MeshId.Rule}.";

    /// <summary>Whether a text holds a control character; line breaks and tabs may be let through.</summary>
    public static bool HasControl(string text, bool allowLineBreaks)
    {
        foreach (char c in text)
        {
            if (char.IsControl(c) && !(allowLineBreaks && c is '\n' or '\r' or '\t')) return true;
        }

        return false;
    }

    private static long FutureLimitMs(TimeProvider clock, int hours) => clock.GetUtcNow().AddHours(hours).ToUnixTimeMilliseconds();

    /// <summary>A BCP 47 tag in outline: subtags of 1-8 letters or digits joined by hyphens, letters first.</summary>
    public static bool IsLanguage(string tag) =>
        tag.Length <= 35 && tag.Split('-') is [var primary, ..] subtags
        && primary is { Length: >= 2 and <= 8 } && primary.All(char.IsAsciiLetter)
        && subtags.All(subtag => subtag.Length is >= 1 and <= 8 && subtag.All(char.IsAsciiLetterOrDigit));

    /// <summary>ISO 3166 alpha-2 or UN M.49.</summary>
    public static bool IsRegion(string code) =>
        (code.Length == 2 && code.All(char.IsAsciiLetter)) || (code.Length == 3 && code.All(char.IsAsciiDigit));

    /// <summary>
    /// Runs a validator and adds its faults to those of the binding; a field that could not be read is not judged twice.
    /// </summary>
    public static void Check<T>(this IValidator<T> validator, T input, Faults faults)
    {
        HashSet<string> bound = [.. faults.Fields];
        foreach (FluentValidation.Results.ValidationFailure failure in validator.Validate(input).Errors)
        {
            string field = System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName(failure.PropertyName);
            if (!bound.Contains(field)) faults.Add(field, failure.ErrorMessage);
        }
    }
}
