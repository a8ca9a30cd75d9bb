using Mesh.Sidecar.Actors;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>Durations and schedules as the documentation writes them.</summary>
public sealed class ScheduleTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 31, 0, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("2h30m", "02:30:00")]
    [InlineData("0h0m3s0ms", "00:00:03")]
    [InlineData("1.5h", "01:30:00")]
    [InlineData("500ms", "00:00:00.5")]
    [InlineData("0", "00:00:00")]
    [InlineData("PT2H30M", "02:30:00")]
    [InlineData("P1DT12H", "1.12:00:00")]
    [InlineData("P2W", "14.00:00:00")]
    [InlineData("R5/PT1M30S", "00:01:30")]
    public void A_duration_is_read(string text, string expected) =>
        Assert.Equal(TimeSpan.Parse(expected, System.Globalization.CultureInfo.InvariantCulture), DaprDuration.Parse(text).After(Now) - Now);

    [Theory, InlineData(""), InlineData("10"), InlineData("1x"), InlineData("P"), InlineData("PT"), InlineData("R5/"), InlineData("tomorrow"), InlineData("R-1/PT1S")]
    public void Anything_else_is_refused_or_zero(string text)
    {
        Exception? error = Record.Exception(() => Assert.True(DaprDuration.Parse(text).IsZero));

        Assert.True(error is null or FormatException);
    }

    [Fact]
    public void Months_follow_the_calendar()
    {
        Assert.Equal(new DateTimeOffset(2026, 2, 28, 0, 0, 0, TimeSpan.Zero), DaprDuration.Parse("P1M").After(Now));
    }

    [Fact]
    public void Repetitions_count_down_to_the_last()
    {
        Schedule schedule = Schedule.Create("timer", "", "R3/PT10S", "", Now);

        Schedule second = schedule.Next(Now)!;
        Schedule third = second.Next(second.Due)!;

        Assert.Equal((Now, Now.AddSeconds(10), Now.AddSeconds(20)), (schedule.Due, second.Due, third.Due));
        Assert.Null(third.Next(third.Due));
    }

    [Fact]
    public void Ticks_missed_for_a_year_are_skipped_and_the_grid_stays()
    {
        Schedule schedule = Schedule.Create("reminder", "3s", "7s", "", Now);

        Schedule next = schedule.Next(Now.AddYears(1))!;

        Assert.True(next.Due > Now.AddYears(1) && next.Due <= Now.AddYears(1).AddSeconds(7));
        Assert.Equal(0, (next.Due - schedule.Due).Ticks % TimeSpan.FromSeconds(7).Ticks);
    }
}
