namespace Mesh.Simulator.Logs;

/// <summary>What is logged of a world.</summary>
internal sealed record TrainingLogOptions
{
    /// <summary>Feed requests, both parts together. Default 5,000.</summary>
    public int Requests { get; init; } = 5_000;

    /// <summary>Share of the requests that make up the live part, 0 to 1. Default 0.4.</summary>
    public double LiveShare { get; init; } = 0.4;

    /// <summary>Newest events in a row's sequence. Default 512, as the gateway asks for.</summary>
    public int SequenceMax { get; init; } = 512;

    /// <summary>Items on a page, from and to. Default 20 to 30.</summary>
    public (int Min, int Max) PageItems { get; init; } = (20, 30);
}
