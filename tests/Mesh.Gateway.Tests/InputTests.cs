using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Events;
using Mesh.Gateway.Input;
using Mesh.Gateway.Items;
using Mesh.Gateway.Problems;
using Mesh.Gateway.Tests.Fakes;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Gateway.Tests;

/// <summary>Each rule on each field: what is refused, under which field, and that the message names value and rule.</summary>
public sealed class InputTests
{
    private static readonly FakeTimeProvider Clock = new(GatewayApp.Now);
    private static readonly IValidator<ItemInput> Items = new ItemInputValidator(Options.Create(new GatewayOptions()), Clock);
    private static readonly IValidator<EventInput> Events = new EventInputValidator(Options.Create(new GatewayOptions()), Clock);
    private static readonly IValidator<EligibilityInput> Eligibilities = new EligibilityInputValidator();

    [Theory]
    [InlineData("itemId", """{"authorId":"a"}""", "itemId is missing")]
    [InlineData("itemId", """{"itemId":"a b","authorId":"a"}""", "'a b' is not an id: 1-128 characters")]
    [InlineData("itemId", """{"itemId":"","authorId":"a"}""", "'' is not an id")]
    [InlineData("itemId", """{"itemId":"..","authorId":"a"}""", "'..' is not an id")]
    [InlineData("itemId", """{"itemId":7,"authorId":"a"}""", "itemId is a number; a string was expected")]
    [InlineData("itemId", """{"itemId":"\ud800","authorId":"a"}""", "not valid Unicode")]
    [InlineData("authorId", """{"itemId":"i"}""", "authorId is missing")]
    [InlineData("authorId", """{"itemId":"i","authorId":null}""", "authorId is missing")]
    [InlineData("authorId", """{"itemId":"i","authorId":"a","authorId":"b"}""", "given twice")]
    [InlineData("text", """{"itemId":"i","authorId":"a","text":"bell \u0007"}""", "'bell \\u0007' holds a control character")]
    [InlineData("text", """{"itemId":"i","authorId":"a","text":{"x":1}}""", "text is an object")]
    [InlineData("text", """{"itemId":"i","authorId":"a","text":"half \udc00 pair"}""", "not valid Unicode")]
    [InlineData("tags", """{"itemId":"i","authorId":"a","tags":"one"}""", "tags is a string; an array")]
    [InlineData("tags[1]", """{"itemId":"i","authorId":"a","tags":["fine",5]}""", "tags[1] is a number")]
    [InlineData("tags[0]", """{"itemId":"i","authorId":"a","tags":[""]}""", "1-64 characters")]
    [InlineData("tags[0]", """{"itemId":"i","authorId":"a","tags":["new\nline"]}""", "control character")]
    [InlineData("createdAt", """{"itemId":"i","authorId":"a","createdAt":"yesterday"}""", "'yesterday' is not a time: ISO 8601")]
    [InlineData("createdAt", """{"itemId":"i","authorId":"a","createdAt":"11/22/2026"}""", "is not a time")]
    [InlineData("createdAt", """{"itemId":"i","authorId":"a","createdAt":1.5}""", "1.5, not a time")]
    [InlineData("createdAt", """{"itemId":"i","authorId":"a","createdAt":99999999999999}""", "out of range")]
    [InlineData("createdAt", """{"itemId":"i","authorId":"a","createdAt":"2026-11-23T13:00:01Z"}""", "24 h after now")]
    [InlineData("createdAt", """{"itemId":"i","authorId":"a","createdAt":-9223372036854775808}""", "out of range")]
    [InlineData("language", """{"itemId":"i","authorId":"a","language":"english please"}""", "is not a BCP 47 tag")]
    [InlineData("durationMs", """{"itemId":"i","authorId":"a","durationMs":-1}""", "-1 is out of range: 0-604800000")]
    [InlineData("durationMs", """{"itemId":"i","authorId":"a","durationMs":1e30}""", "1e30; a whole number")]
    [InlineData("durationMs", """{"itemId":"i","authorId":"a","durationMs":"NaN"}""", "a string; a whole number")]
    [InlineData("attributes", """{"itemId":"i","authorId":"a","attributes":["x"]}""", "attributes is an array")]
    [InlineData("attributes", """{"itemId":"i","authorId":"a","attributes":{"a b":"x"}}""", "key 'a b'")]
    [InlineData("attributes", """{"itemId":"i","authorId":"a","attributes":{"a":{}}}""", "attributes is an object; a string")]
    [InlineData("attributes", """{"itemId":"i","authorId":"a","attributes":{"a":"1","a":"2"}}""", "twice")]
    [InlineData("attributes", """{"itemId":"i","authorId":"a","attributes":{"a":"\u0001"}}""", "value '\\u0001'")]
    [InlineData("$", "[1]", "This is an array; an object")]
    [InlineData("$", "null", "This is null")]
    public void An_item_row_at_fault_names_the_field_the_value_and_the_rule(string field, string json, string fragment)
    {
        Assert.Contains(
            ErrorsOf(json, Items, (JsonElement row, out Faults faults) => ItemInput.Bind(row, null, out faults))[field], message => message.Contains(fragment));
    }

    [Theory]
    [InlineData("eventId", """{"eventId":"1","userId":"u","itemId":"i","action":"like"}""", "'1' is not a ULID")]
    [InlineData("eventId", """{"eventId":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","userId":"u","itemId":"i","action":"like"}""", "holds the time 9999-12-31")]
    [InlineData("eventId", """{"eventId":"01MZ000000ZZZZZZZZZZZZZZZZ","userId":"u","itemId":"i","action":"like"}""", "which counts where time is absent, and is out of range: at most 24 h after now")]
    [InlineData("userId", """{"itemId":"i","action":"like"}""", "userId is missing")]
    [InlineData("itemId", """{"userId":"u","itemId":"a/b","action":"like"}""", "'a/b' is not an id")]
    [InlineData("action", """{"userId":"u","itemId":"i"}""", "action is missing: one of like, reply")]
    [InlineData("action", """{"userId":"u","itemId":"i","action":"LIKE"}""", "'LIKE' is not one of like")]
    [InlineData("time", """{"userId":"u","itemId":"i","action":"like","time":-1}""", "out of range: from 1970-01-01")]
    [InlineData("time", """{"userId":"u","itemId":"i","action":"like","time":"2027-01-01"}""", "24 h after now")]
    [InlineData("time", """{"userId":"u","itemId":"i","action":"like","time":true}""", "a boolean, not a time")]
    [InlineData("value", """{"userId":"u","itemId":"i","action":"like","value":1e400}""", "1e400; a finite number")]
    [InlineData("value", """{"userId":"u","itemId":"i","action":"like","value":"Infinity"}""", "a string; a finite number")]
    [InlineData("requestId", """{"userId":"u","itemId":"i","action":"like","requestId":"r"}""", "'r' is not a ULID")]
    [InlineData("surface", """{"userId":"u","itemId":"i","action":"like","surface":"a\u0000b"}""", "control character")]
    public void An_event_row_at_fault_names_the_field_the_value_and_the_rule(string field, string json, string fragment)
    {
        Assert.Contains(
            ErrorsOf(json, Events, (JsonElement row, out Faults faults) => EventInput.Bind(row, out faults))[field], message => message.Contains(fragment));
    }

    [Theory]
    [InlineData("$", "{}", "Nothing is to change")]
    [InlineData("hidden", """{"hidden":"yes"}""", "true or false")]
    [InlineData("languages[0]", """{"languages":["e"]}""", "'e' is not a BCP 47 tag")]
    [InlineData("regions[1]", """{"regions":["DE","Germany"]}""", "'Germany' is not a region")]
    [InlineData("safety", """{"safety":"dangerous"}""", "'dangerous' is not one of")]
    public void An_eligibility_at_fault_names_the_field_the_value_and_the_rule(string field, string json, string fragment)
    {
        Assert.Contains(
            ErrorsOf(json, Eligibilities, (JsonElement row, out Faults faults) => EligibilityInput.Bind(row, out faults))[field], message => message.Contains(fragment));
    }

    [Fact]
    public void Limits_hold_to_the_last_character()
    {
        string id = new('a', 128), text = new('t', 5_000), tag = new('g', 64);
        string fits = JsonSerializer.Serialize(
            new { itemId = id, authorId = id, text, tags = Enumerable.Repeat(tag, 32), attributes = Enumerable.Range(0, 32).ToDictionary(i => $"k{i}", _ => new string('v', 256)) });
        string over = JsonSerializer.Serialize(
            new { itemId = id + "a", authorId = id, text = text + "t", tags = Enumerable.Repeat(tag, 33), attributes = Enumerable.Range(0, 33).ToDictionary(i => $"k{i}", _ => "v") });

        Dictionary<string, string[]> none = ErrorsOf(fits, Items, (JsonElement row, out Faults faults) => ItemInput.Bind(row, null, out faults));
        Dictionary<string, string[]> all = ErrorsOf(over, Items, (JsonElement row, out Faults faults) => ItemInput.Bind(row, null, out faults));

        Assert.Empty(none);
        Assert.Equal(["attributes", "itemId", "tags", "text"], all.Keys.Order(StringComparer.Ordinal));
        Assert.All(all.Values.SelectMany(messages => messages), message => Assert.True(message.Length < 300, message));
    }

    [Theory]
    [InlineData("\"2026-11-22T13:00:00Z\"", 1795352400000)]
    [InlineData("\"2026-11-22T13:00:00\"", 1795352400000)]
    [InlineData("\"2026-11-22T14:00:00.250+01:00\"", 1795352400250)]
    [InlineData("\"2026-11-22\"", 1795305600000)]
    [InlineData("1795352400000", 1795352400000)]
    [InlineData("\"1902-09-01\"", -2124921600000)]
    public void Times_are_iso_8601_or_unix_milliseconds(string json, long expected)
    {
        using JsonDocument document = JsonDocument.Parse($$"""{"itemId":"i","authorId":"a","createdAt":{{json}}}""");

        ItemInput input = ItemInput.Bind(document.RootElement, null, out Faults faults);
        Items.Check(input, faults);

        Assert.False(faults.Any, string.Join("; ", faults.ToErrors().SelectMany(pair => pair.Value)));
        Assert.Equal(expected, input.CreatedAt);
    }

    [Fact]
    public void A_row_with_a_thousand_faults_is_described_by_a_few()
    {
        string json = JsonSerializer.Serialize(
            new { itemId = "i", authorId = "a", tags = Enumerable.Repeat("", 32), attributes = Enumerable.Range(0, 32).ToDictionary(i => $"{i}", _ => new object()) });

        Dictionary<string, string[]> errors = ErrorsOf(json, Items, (JsonElement row, out Faults faults) => ItemInput.Bind(row, null, out faults));

        Assert.InRange(errors.Values.Sum(messages => messages.Length), 2, 40);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    public void The_time_in_an_event_id_may_be_as_far_ahead_as_a_time(int excessMs, bool isAllowed)
    {
        string id = Ulid.NewUlid(GatewayApp.Now.AddHours(24).AddMilliseconds(excessMs)).ToString();
        string row = $$"""{"eventId":"{{id}}","userId":"u","itemId":"i","action":"like"}""";
        string rowWithTime = row.Replace("}", ",\"time\":5}", StringComparison.Ordinal);

        Assert.Equal(isAllowed, ErrorsOf(row, Events, (JsonElement element, out Faults faults) => EventInput.Bind(element, out faults)).Count == 0);
        Assert.Empty(ErrorsOf(rowWithTime, Events, (JsonElement element, out Faults faults) => EventInput.Bind(element, out faults)));
    }

    [Fact]
    public void Event_ids_are_kept_in_one_spelling_since_consumers_compare_text()
    {
        string id = Ulid.NewUlid().ToString();

        Engagement engagement = new EventInput(
            id.ToLowerInvariant(), "u", "i", "like", null, null, id.ToLowerInvariant(), null).ToEngagement(GatewayApp.Now);

        Assert.Equal((id, id), (engagement.EventId, engagement.RequestId));
    }

    private static Dictionary<string, string[]> ErrorsOf<T>(string json, IValidator<T> validator, Batch.RowBinder<T> bind) where T : class
    {
        using JsonDocument document = JsonDocument.Parse(json);
        T input = bind(document.RootElement, out Faults faults)!;
        validator.Check(input, faults);
        return faults.ToErrors();
    }
}
