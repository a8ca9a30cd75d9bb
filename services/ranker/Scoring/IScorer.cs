using Mesh.Contracts;

namespace Mesh.Ranker.Scoring;

/// <summary>
/// Predicts, without a model and without fail, for each candidate alone, the probability of each action. The rule of isolation: a row depends on the user's
/// context and on the candidate's own fields, never on which other candidates are there or at which position it stands.
/// </summary>
internal interface IScorer
{
    /// <summary>Name that a request chooses this scorer by.</summary>
    string Arm { get; }

    /// <summary>Names the model in responses, caches and the request log.</summary>
    string ModelVersion { get; }

    /// <summary>Probabilities, row-major: candidates x actions in taxonomy order, each finite and 0..1.</summary>
    Task<float[]> PredictAsync(ScoreRequest request, CancellationToken cancellation);
}
