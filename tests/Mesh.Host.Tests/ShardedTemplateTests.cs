using Mesh.Host.Topology;
using Mesh.Sidecar.Components;
using Mesh.Testing;

namespace Mesh.Host.Tests;

public sealed class ShardedTemplateTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly RunTemplate _template = TemplateReader.Read(Path.Combine(MeshHost.RepositoryRoot, "dapr.yaml"));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Each_shard_is_an_app_with_ports_of_its_own_and_all_are_told_of_each_other()
    {
        RunTemplate sharded = ShardedTemplate.Of(_template, 3);

        Assert.Equal(["gateway", "sequence-store", "retrieval-0", "retrieval-1", "retrieval-2", "ranker", "index-updater"], sharded.Apps.Select(app => app.AppId));
        AppTemplate[] shards = [.. sharded.Apps.Skip(2).Take(3)];
        Assert.Equal(["0", "1", "2"], shards.Select(app => app.Environment["Retrieval__Shard"]));
        Assert.Equal([8082, 8085, 8086], shards.Select(app => app.AppPort!.Value));
        int?[] ports = [.. sharded.Apps.SelectMany(app => new[] { app.AppPort, app.DaprHttpPort, app.DaprGrpcPort })];
        Assert.Equal(ports.Length, ports.Distinct().Count());
        Assert.Equal("3", sharded.Apps[^1].Environment["IndexUpdater__Shards"]);
        Assert.Equal(
            ["retrieval-0", "retrieval-1", "retrieval-2"],
            Enumerable.Range(0, 3).Select(shard => sharded.Apps[0].Environment[$"Gateway__Retrieval__{shard}"]));
    }

    [Fact]
    public void A_template_without_retrieval_or_with_a_shard_of_its_own_is_refused_with_all_reasons()
    {
        RunTemplate own = _template with { Apps = [.. _template.Apps.Select(app => app.AppId == "retrieval" ? app with { AppId = "retrieval-1" } : app)] };

        TemplateException refused = Assert.Throws<TemplateException>(() => ShardedTemplate.Of(own, 2));

        Assert.Equal(["--shards 2 needs an app retrieval.", "--shards 2 makes an app retrieval-1, and there is one already."], refused.Faults);
    }

    [Fact]
    public async Task Every_shard_sees_the_components_that_retrieval_sees_and_nobody_sees_more()
    {
        RunTemplate sharded = ShardedTemplate.WithResources(ShardedTemplate.Of(_template, 2), 2, _folder.In("resources"));
        RunTemplate again = ShardedTemplate.WithResources(ShardedTemplate.Of(_template, 2), 2, _folder.In("resources")); // a second start

        Assert.Equal(sharded.Apps[0].ResourcesPaths, again.Apps[0].ResourcesPaths);
        ResourceFiles before = await ResourceFiles.LoadAsync(_template.Apps[0].ResourcesPaths, CancellationToken.None);
        ResourceFiles after = await ResourceFiles.LoadAsync(sharded.Apps[0].ResourcesPaths, CancellationToken.None);
        Assert.Equal(NamesFor(before, "retrieval"), NamesFor(after, "retrieval-1"));
        Assert.NotEmpty(NamesFor(after, "retrieval-1"));
        Assert.Empty(NamesFor(after, "retrieval-2"));
        Assert.Equal(NamesFor(before, "ranker"), NamesFor(after, "ranker"));
        ResourceDocument deltas = after.OfKind("Component").Single(document => document.Name == "deltas");
        Assert.Contains("{uuid}", deltas.Spec!.ToString());
    }

    [Fact]
    public void A_resource_that_is_no_yaml_is_named()
    {
        string broken = _folder.In("broken");
        Directory.CreateDirectory(broken);
        File.WriteAllText(Path.Combine(broken, "a.yaml"), "a: [");
        RunTemplate template = _template with { Apps = [.. _template.Apps.Select(app => app with { ResourcesPaths = [broken] })] };

        TemplateException refused = Assert.Throws<TemplateException>(() => ShardedTemplate.WithResources(template, 2, _folder.In("resources")));

        Assert.Contains("a.yaml, line ", refused.Message);
    }

    private static string[] NamesFor(ResourceFiles files, string appId) =>
        [.. files.OfKind("Component").Concat(files.OfKind("Resiliency")).Where(document => document.IsVisibleTo(appId)).Select(document => document.Name)];
}
