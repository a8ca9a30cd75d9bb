namespace Mesh.Contracts.Tests;

public sealed class ModelChangeRulesTests
{
    private const long NowMs = 1_800_000_000_000;

    [Theory]
    [InlineData("mini")]
    [InlineData("mini-2026.11_a")]
    [InlineData("")] // found by its version
    public void A_folder_name_or_none_can_be_applied(string path) => Assert.Equal("", ModelChangeRules.FaultOf(Change(path: path), NowMs));

    [Theory]
    [InlineData("a/b")]
    [InlineData("..")]
    [InlineData("/etc")]
    [InlineData("C:")]
    [InlineData("a\\b")]
    [InlineData("~")]
    [InlineData("a b")]
    [InlineData("a\0b")]
    public void What_leads_elsewhere_is_no_path(string path) =>
        Assert.Contains("its path is not one folder name", ModelChangeRules.FaultOf(Change(path: path), NowMs), StringComparison.Ordinal);

    [Theory]
    [InlineData("not a ULID", 1, "m-1", "event id")]
    [InlineData(null, 0, "m-1", "its time is 0")]
    [InlineData(null, NowMs + 86_400_001, "m-1", "more than 24 h ahead")]
    [InlineData(null, 1, "", "its version is not")]
    [InlineData(null, 1, "a\0b", "its version is not")]
    public void Other_faults_name_the_field(string? eventId, long timeMs, string version, string fault) =>
        Assert.Contains(fault, ModelChangeRules.FaultOf(Change(eventId, timeMs, version), NowMs), StringComparison.Ordinal);

    [Fact]
    public void The_later_change_wins_and_of_one_time_the_same_one_whichever_comes_first()
    {
        ModelChange early = Change(timeMs: 1), one = Change(timeMs: 2), other = Change(timeMs: 2);

        Assert.True(ModelChangeRules.OrderOf(early).CompareTo(ModelChangeRules.OrderOf(one)) < 0);
        Assert.NotEqual(0, ModelChangeRules.OrderOf(one).CompareTo(ModelChangeRules.OrderOf(other)));
        Assert.Equal(ModelChangeRules.OrderOf(one), ModelChangeRules.OrderOf(one.Clone()));
    }

    private static ModelChange Change(string? eventId = null, long timeMs = NowMs, string version = "m-1", string path = "") =>
        new() { EventId = eventId ?? Ulid.NewUlid().ToString(), TimeMs = timeMs, Version = version, Path = path };
}
