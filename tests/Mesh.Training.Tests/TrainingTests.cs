using System.Text.Json;
using Mesh.Inference;
using Mesh.Snapshots;
using Mesh.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Mesh.Training.Tests;

public sealed class TrainingTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);

    [TorchFact]
    public async Task The_unit_tests_of_training_pass()
    {
        (int exitCode, string output) = await Python.RunAsync(Limit, "-W", "ignore", "-m", "unittest", "discover", "-s", "tests", "-t", "tests");

        Assert.True(exitCode == 0, output);
        Assert.DoesNotContain("Ran 0 tests", output, StringComparison.Ordinal);
    }

    [TorchFact]
    public async Task A_tiny_model_learns_and_ONNX_Runtime_scores_as_PyTorch_does()
    {
        using var folder = new TempFolder();

        (int exitCode, string output) = await Python.RunAsync(Limit, "-W", "ignore", "-m", "feedmesh.smoke", "--out", folder.Path);

        Assert.True(exitCode == 0, output);
        using JsonDocument result = JsonDocument.Parse(output.Split('\n').Last(line => line.StartsWith('{')));
        double Value(string name) => result.RootElement.GetProperty(name).GetDouble();
        Assert.True(Value("ranker_loss") < Value("constant_loss"), output);
        Assert.True(Value("tower_recall") > Value("chance_recall"), output);

        using var runtime = new InferenceRuntime(Options.Create(new InferenceOptions()), NullLogger<InferenceRuntime>.Instance);
        string path = result.RootElement.GetProperty("package").GetString()!;
        using ModelPackage package = ModelPackage.Load(path, ModelGraphs.Item | ModelGraphs.User | ModelGraphs.Ranking, runtime, CancellationToken.None);
        Assert.Equal(result.RootElement.GetProperty("version").GetString(), package.Version);
        SafeTensors check = SafeTensors.Read(package.ReadFile(GoldenCheck.FileName));
        foreach (GraphSession session in new[] { package.Item, package.User, package.Context, package.Candidates })
        {
            float difference = GoldenCheck.Run(session, check, CancellationToken.None);
            Assert.True(difference <= 1e-4f, $"{session.Name} differs by {difference}");
        }
    }
}
