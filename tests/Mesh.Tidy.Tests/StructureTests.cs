using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Mesh.Tidy.Tests;

public sealed partial class StructureTests
{
    [Fact]
    public void No_service_references_another_service()
    {
        string[] faults = [.. References()
            .Where(reference => reference.From.StartsWith("services/", StringComparison.Ordinal) && !reference.To.StartsWith("libs/", StringComparison.Ordinal))
            .Select(reference => $"{reference.From} references {reference.To}; a service may reference libs/ only")];

        Assert.Empty(faults);
    }

    [Fact]
    public void Libraries_reference_libraries_only_and_numerics_references_nothing()
    {
        string[] faults = [.. References()
            .Where(reference => reference.From.StartsWith("libs/", StringComparison.Ordinal))
            .Where(reference => !reference.To.StartsWith("libs/", StringComparison.Ordinal) || reference.From.Contains("Mesh.Numerics", StringComparison.Ordinal))
            .Select(reference => $"{reference.From} references {reference.To}")];

        Assert.Empty(faults);
    }

    [Fact]
    public void One_library_owns_the_runtime_of_models_and_swaps_it_for_the_GPU()
    {
        string[] users = [.. Repository.Files(".csproj").Where(project => Repository.Read(project).Contains("Microsoft.ML.OnnxRuntime", StringComparison.Ordinal))];
        XElement[] groups = [.. XDocument.Parse(Repository.Read("libs/Mesh.Inference/Mesh.Inference.csproj")).Descendants("ItemGroup").Where(group => group.Attribute("Condition") is not null)];

        Assert.Equal(["libs/Mesh.Inference/Mesh.Inference.csproj"], users);
        Assert.Equal(
            [("'$(Gpu)' != 'true'", "Microsoft.ML.OnnxRuntime"), ("'$(Gpu)' == 'true'", "Microsoft.ML.OnnxRuntime.Gpu")],
            groups.Select(group => (group.Attribute("Condition")!.Value, group.Elements("PackageReference").Single().Attribute("Include")!.Value)));
    }

    [Fact]
    public void The_sidecar_knows_nothing_of_the_mesh()
    {
        string[] faults = [.. References().Where(reference => reference.From.StartsWith("sidecar/", StringComparison.Ordinal)).Select(reference => reference.To)];

        Assert.Empty(faults);
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        string solution = Repository.Read("Mesh.sln").Replace('\\', '/');

        string[] faults = [.. Repository.Files(".csproj").Where(project => !solution.Contains(project, StringComparison.Ordinal))];

        Assert.Empty(faults);
    }

    [Fact]
    public void Every_package_is_explained_and_used()
    {
        string explained = Repository.Read("docs/packages.md");
        string used = string.Concat(Repository.Files(".csproj").Append("Directory.Build.props").Select(Repository.Read));
        string[] faults = [.. XDocument.Parse(Repository.Read("Directory.Packages.props")).Descendants("PackageVersion")
            .Select(package => package.Attribute("Include")!.Value)
            .Where(package => !explained.Contains($"| {package} |", StringComparison.Ordinal)
                || !(used.Contains($"Include=\"{package}\"", StringComparison.Ordinal) || explained.Contains($"| {package} | pinned", StringComparison.Ordinal)))];

        Assert.Empty(faults);
    }

    [Fact]
    public void No_service_program_is_longer_than_a_table_of_contents()
    {
        string[] faults = [.. Repository.Files("/Program.cs")
            .Where(file => file.StartsWith("services/", StringComparison.Ordinal))
            .Where(file => Repository.Read(file).Split('\n').Length > 25)];

        Assert.Empty(faults);
    }

    [Fact]
    public void Every_test_asserts_something()
    {
        var methods = Repository.Files(".cs").Where(file => file.StartsWith("tests/", StringComparison.Ordinal))
            .SelectMany(file => Methods(Repository.Read(file)).Select(method => (File: file, method.Name, method.Text, method.IsTest))).ToArray();
        HashSet<string> asserting = [.. methods.Where(method => !method.IsTest && Asserts(method.Text)).Select(method => method.Name)];

        string[] faults = [.. methods.Where(method => method.IsTest && !Asserts(method.Text))
            .Where(method => !Calls().Matches(method.Text).Any(call => asserting.Contains(call.Groups[1].Value)))
            .Select(method => $"{method.File}: {method.Name}")];

        Assert.Empty(faults);
    }

    private static bool Asserts(string text) => text.Contains("Assert", StringComparison.Ordinal) || text.Contains("Check", StringComparison.Ordinal)
        || text.Contains("Eventually.", StringComparison.Ordinal); // waits for what it asserts, and throws

    private static IEnumerable<(string From, string To)> References() =>
        from project in Repository.Files(".csproj")
        from reference in XDocument.Parse(Repository.Read(project)).Descendants("ProjectReference")
        let folder = Path.GetDirectoryName(Path.Combine(Repository.Root, project))!
        let target = Path.GetFullPath(Path.Combine(folder, reference.Attribute("Include")!.Value.Replace('\\', '/')))
        select (project, Path.GetRelativePath(Repository.Root, target).Replace('\\', '/'));

    // A method's text goes from its declaration to the next one: enough to see what it asserts and calls.
    private static IEnumerable<(string Name, string Text, bool IsTest)> Methods(string source)
    {
        MatchCollection declarations = Declarations().Matches(source);
        for (int i = 0; i < declarations.Count; i++)
        {
            int end = i + 1 < declarations.Count ? declarations[i + 1].Index : source.Length;
            string text = source[declarations[i].Index..end];
            yield return (declarations[i].Groups["name"].Value, text, declarations[i].Groups["test"].Success);
        }
    }

    [GeneratedRegex(@"(?<test>\n    \[[A-Za-z]*(?:Fact|Theory|Property)\b[^\n]*(?:\n    \[[^\n]*)*)?\n    (?:public|private|internal|protected)[^\n=;]*?\b(?<name>\w+)(?:<[^>]*>)?\(")]
    private static partial Regex Declarations();

    [GeneratedRegex(@"\b(\w+)(?:<[^>]*>)?\(")]
    private static partial Regex Calls();
}
