namespace Mesh.Ranker.Transformer;

/// <summary>Why the heuristic answers in the transformer's place. The name is the metric's tag.</summary>
internal enum FallbackKind
{
    /// <summary>No version is loaded and none was asked for.</summary>
    NoModel,

    /// <summary>The version that the candidates' codes are of is not here.</summary>
    UnknownVersion,

    /// <summary>The version is being loaded and warmed.</summary>
    Loading,

    /// <summary>The caller's time ran out, less the reserve for the heuristic.</summary>
    Late,

    /// <summary>The queue is full.</summary>
    Overloaded,

    /// <summary>The run failed or gave what is no probability.</summary>
    Failed,

    /// <summary>It failed repeatedly and is left alone until the next probe.</summary>
    BreakerOpen,
}

/// <summary>The kind for counters, and the detail for the response.</summary>
internal sealed record Fallback(FallbackKind Kind, string Detail)
{
    public string Tag => Kind switch
    {
        FallbackKind.NoModel => "no_model",
        FallbackKind.UnknownVersion => "unknown_version",
        FallbackKind.Loading => "loading",
        FallbackKind.Late => "late",
        FallbackKind.Overloaded => "overloaded",
        FallbackKind.Failed => "failed",
        _ => "breaker_open",
    };

    /// <summary>As ScoreResponse.fallback_reason says it: "late: 12 ms were left".</summary>
    public override string ToString() => $"{Tag}: {Detail}";
}

/// <summary>The transformer cannot answer this request; somebody else can.</summary>
internal sealed class FallbackException(Fallback fallback, Exception? inner = null) : Exception(fallback.ToString(), inner)
{
    private int _judged; // interlocked

    public Fallback Fallback => fallback;

    /// <summary>True for the first caller only: those who waited for one encoding get one exception, and it is one failure.</summary>
    public bool TryJudge() => Interlocked.Exchange(ref _judged, 1) == 0;
}
