using System.Text.RegularExpressions;

namespace Mesh.Tidy.Tests;

public sealed partial class DocumentTests
{
    [Fact]
    public void Every_link_and_path_in_the_documents_exists()
    {
        var faults = new List<string>();
        foreach (string document in Repository.Files(".md"))
        {
            string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, document))!;
            string text = Repository.Read(document);
            foreach (string target in Links().Matches(text).Select(match => match.Groups[1].Value))
            {
                if (target.Contains("://", StringComparison.Ordinal) || target.StartsWith('#')) continue;
                if (!Exists(folder, target.Split('#')[0])) faults.Add($"{document}: link {target}");
            }

            foreach (string path in Paths().Matches(text).Select(match => match.Groups[1].Value))
            {
                if (!Exists(Repository.Root, path) && !Exists(folder, path)) faults.Add($"{document}: path {path}");
            }
        }

        Assert.Empty(faults);
    }

    [Fact]
    public void Every_type_and_option_named_in_the_documents_exists()
    {
        string code = string.Concat(Repository.Files(".cs").Concat(Repository.Files(".proto")).Select(Repository.Read));
        HashSet<string> declared = [.. Identifiers().Matches(code).Select(match => match.Value)];
        var faults = new List<string>();
        foreach (string document in Repository.Files(".md").Where(document => !document.StartsWith("models/", StringComparison.Ordinal)))
        {
            // `PascalCase` with at least two humps is a type or option of ours, or it must be written without code quotes.
            faults.AddRange(TypeNames().Matches(Repository.Read(document)).Select(match => match.Groups[1].Value)
                .Where(name => !declared.Contains(name)).Distinct().Select(name => $"{document}: type {name}"));
        }

        Assert.Empty(faults);
    }

    [Fact]
    public void Every_metric_is_documented()
    {
        string documented = Repository.Read("docs/metrics.md");
        string[] faults = [.. Repository.Files(".cs")
            .Where(file => !file.StartsWith("tests/", StringComparison.Ordinal))
            .SelectMany(file => Metrics().Matches(Repository.Read(file)).Select(match => match.Groups[1].Value))
            .Distinct().Where(metric => !documented.Contains($"`{metric}`", StringComparison.Ordinal))];

        Assert.Empty(faults);
    }

    [Fact]
    public void The_readme_fits_on_two_screens()
    {
        Assert.InRange(Repository.Read("README.md").Split('\n').Length, 20, 120);
    }

    private static bool Exists(string folder, string path)
    {
        string full = Path.GetFullPath(Path.Combine(folder, path));
        return File.Exists(full) || Directory.Exists(full);
    }

    [GeneratedRegex(@"\[[^\]]*\]\(([^)\s]+)\)")]
    private static partial Regex Links();

    // `services/gateway/Pipeline` and the like: a first folder of this repository, then a path without wildcards.
    [GeneratedRegex(@"`((?:services|libs|sidecar|host|components|contracts|docs|tests|tools|benchmarks|models|training|deploy|\.ci)/[A-Za-z0-9_./-]*)`")]
    private static partial Regex Paths();

    [GeneratedRegex(@"`([A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+)`")]
    private static partial Regex TypeNames();

    [GeneratedRegex(@"\b[A-Z]\w+\b")]
    private static partial Regex Identifiers();

    [GeneratedRegex("""Create(?:Counter|Histogram|UpDownCounter|Gauge|ObservableGauge|ObservableCounter|ObservableUpDownCounter)(?:<\w+>)?\(\s*"([^"]+)""")]
    private static partial Regex Metrics();
}
