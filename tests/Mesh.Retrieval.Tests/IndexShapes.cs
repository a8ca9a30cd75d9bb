using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>The ways an index can search: all give the same answers where few rows are held.</summary>
internal static class IndexShapes
{
    public const string Flat = "flat";
    public const string Exact = "clustered, exact";
    public const string Probing = "clustered, probing";
    public const string Shared = "clustered, probing, two threads";
    public const string Crowded = "clustered, by two codes, without room for all";

    public static TheoryData<string> All => [Flat, Exact, Probing, Shared, Crowded];

    /// <summary>Probing scans bytes from the first row on, and here looks into every cluster.</summary>
    public static RetrievalOptions Options(string shape) => shape switch
    {
        Flat => new RetrievalOptions { Index = IndexKind.Flat },
        Exact => new RetrievalOptions(),
        Crowded => new RetrievalOptions { ExactRowsMax = 0, ProbesMin = 8, CoarseLevels = 2, ClustersMax = 8 },
        Shared => new RetrievalOptions { ExactRowsMax = 0, ProbesMin = 4_096, SearchThreadsMax = 2 },
        _ => new RetrievalOptions { ExactRowsMax = 0, ProbesMin = 4_096 },
    };
}
