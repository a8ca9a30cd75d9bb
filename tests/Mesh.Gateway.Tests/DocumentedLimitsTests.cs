using System.Globalization;
using Mesh.Contracts;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Input;
using Mesh.Gateway.Pipeline.Sources;

namespace Mesh.Gateway.Tests;

/// <summary>docs/limits.md says what the code enforces.</summary>
public sealed class DocumentedLimitsTests
{
    [Fact]
    public void Every_limit_in_the_docs_is_the_one_in_the_code()
    {
        string docs = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "limits.md"));
        var options = new GatewayOptions();
        static string Shown(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
        string[] lines =
        [
            $"| body | {Limits.BodyBytesMax >> 20} MiB |", $"1-{Shown(Limits.BatchMax)} |", $"1-{Limits.FeedLimitMax}, default 30 and 20", $"1-{Limits.IdLengthMax} characters",
            $"at most {Shown(Limits.TextLengthMax)} characters", $"at most {Limits.TagsMax}, each 1-{Rules.TagLengthMax}",
            $"at most {Limits.AttributesMax}; keys 1-{Rules.AttributeKeyLengthMax}", $"values at most {Rules.AttributeValueLengthMax}", $"at most {Rules.ListMax} each",
            $"{Shown(Limits.ProfileListMax)} each; 409", $"{Shown(options.RequestBudgetMs)} ms (`RequestBudgetMs`)", $"{options.CallTimeoutMs / 1000} s (`CallTimeoutMs`)",
            $"{options.FutureHoursMax} h after now (`FutureHoursMax`)", $"{Shown(options.SideEffectsQueuedMax)} (`SideEffectsQueuedMax`)", $"{Shown(FeedCursor.ServedMax)}, newest kept",
            $"{RememberedTrending.Max}, for 30 minutes", $"| surface | at most {Rules.SurfaceLengthMax}",
        ];

        Assert.All(lines, line => Assert.Contains(line, docs));
    }

    private static string RepositoryRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Mesh.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("Mesh.sln is in no folder above the tests.");
    }
}
