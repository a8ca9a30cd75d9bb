namespace Mesh.Simulator.Logs;

/// <summary>How fast a part of the log goes.</summary>
/// <param name="LookMs">Time from one item of a page to the next.</param>
/// <param name="DelayScale">What an action's delay after the look is multiplied by.</param>
/// <param name="PauseMinMs">Shortest time from the end of a page to the next request.</param>
/// <param name="PauseMaxMs">Longest; between the two the logarithm is uniform.</param>
internal sealed record Pace(double LookMs, double DelayScale, double PauseMinMs, double PauseMaxMs)
{
    /// <summary>People: seconds for an item, a pause of up to three minutes between pages.</summary>
    public static Pace People { get; } = new(1_500, 1, 2_000, 180_000);

    /// <summary>A closed loop: the page is acted on within milliseconds, the next one is asked for within a minute.</summary>
    public static Pace Loop { get; } = new(1, 0.001, 300, 60_000);

    public long PauseMs(Random random) => (long)(PauseMinMs * Math.Pow(PauseMaxMs / PauseMinMs, random.NextDouble()));
}
