using Mesh.Host.Topology;
using Mesh.Testing;
using YamlDotNet.RepresentationModel;

namespace Mesh.Host.Tests;

/// <summary>dapr.yaml, tye.yaml, the project folders and the component sets of this repository say the same.</summary>
public sealed class TopologyTests
{
    private static readonly RunTemplate Template = TemplateReader.Read(Path.Combine(MeshHost.RepositoryRoot, "dapr.yaml"));
    private static readonly YamlMappingNode Tye = ReadYaml(Path.Combine(MeshHost.RepositoryRoot, "tye.yaml"))[0];

    public static TheoryData<string> ComponentSets => [.. Directory.GetDirectories(Path.Combine(MeshHost.RepositoryRoot, "components")).Select(path => Path.GetFileName(path)!)];

    [Fact]
    public void Every_service_folder_is_an_app_of_dapr_yaml_and_an_app_id_of_the_contracts()
    {
        string[] folders = [.. Directory.GetDirectories(Path.Combine(MeshHost.RepositoryRoot, "services")).Select(path => Path.GetFileName(path)!).Order()];
        string[] contracts = [.. typeof(Contracts.AppIds).GetFields().Select(field => (string)field.GetRawConstantValue()!).Order()];

        Assert.Equal(folders, Template.Apps.Select(app => app.AppId).Order());
        Assert.Equal(folders, contracts);
        Assert.All(Template.Apps, app => Assert.Equal(app.AppId, Path.GetFileName(app.AppDirectory)));
    }

    [Fact]
    public void Tye_names_the_same_services_projects_and_ports_as_dapr_yaml()
    {
        YamlMappingNode[] services = [.. ((YamlSequenceNode)Tye["services"]).Cast<YamlMappingNode>()];

        Assert.Equal(Template.Apps.Select(app => app.AppId), services.Select(service => Text(service, "name")));
        foreach ((AppTemplate app, YamlMappingNode service) in Template.Apps.Zip(services))
        {
            string project = Path.Combine(MeshHost.RepositoryRoot, Text(service, "project"));
            Assert.True(File.Exists(project), project);
            Assert.Equal(app.AppDirectory, Path.GetDirectoryName(project));
            YamlMappingNode binding = Assert.IsType<YamlMappingNode>(Assert.Single((YamlSequenceNode)service["bindings"]));
            Assert.Equal(app.AppPort!.Value.ToString(), Text(binding, "port"));
        }
    }

    [Fact]
    public void Tyes_dapr_extension_gives_the_same_dapr_ports_and_a_component_set_that_exists()
    {
        YamlMappingNode extension = Assert.IsType<YamlMappingNode>(Assert.Single((YamlSequenceNode)Tye["extensions"]));
        var perService = (YamlMappingNode)extension["services"];

        Assert.Equal("dapr", Text(extension, "name"));
        Assert.True(Directory.Exists(Path.Combine(MeshHost.RepositoryRoot, Text(extension, "components-path"))));
        Assert.Equal(Template.Apps.Count, perService.Children.Count);
        foreach (AppTemplate app in Template.Apps)
        {
            var settings = (YamlMappingNode)perService[app.AppId];
            Assert.Equal((app.AppId, $"{app.DaprHttpPort}", $"{app.DaprGrpcPort}"), (Text(settings, "app-id"), Text(settings, "http-port"), Text(settings, "grpc-port")));
        }
    }

    [Fact]
    public void Dapr_yaml_points_at_the_local_components()
    {
        string local = Path.Combine(MeshHost.RepositoryRoot, "components", "local");

        Assert.All(Template.Apps, app => Assert.Equal([local], app.ResourcesPaths));
    }

    [Theory, MemberData(nameof(ComponentSets))]
    public void Every_component_set_has_the_files_names_and_scopes_of_the_local_one(string set)
    {
        string[] local = Files("local");

        Assert.Equal(local, Files(set));
        foreach (string file in local)
        {
            YamlMappingNode expected = ReadYaml(PathOf("local", file))[0];
            YamlMappingNode actual = ReadYaml(PathOf(set, file))[0];
            Assert.Equal(Text(expected, "kind"), Text(actual, "kind"));
            Assert.Equal(expected["metadata"]["name"], actual["metadata"]["name"]);
            Assert.Equal(expected["scopes"], actual["scopes"]);
            Assert.Subset(Template.Apps.Select(app => app.AppId).ToHashSet(), ((YamlSequenceNode)actual["scopes"]).Select(scope => ((YamlScalarNode)scope).Value!).ToHashSet());
        }
    }

    [Theory, MemberData(nameof(ComponentSets))]
    public void Every_component_set_holds_the_components_that_the_services_name(string set)
    {
        string[] names = [.. Files(set).Select(file => ReadYaml(PathOf(set, file))[0]).Where(document => Text(document, "kind") == "Component").Select(document => Text((YamlMappingNode)document["metadata"], "name"))];

        Assert.Equal(typeof(Contracts.Components).GetFields().Select(field => (string)field.GetRawConstantValue()!).Order(), names.Order());
    }

    [Theory, MemberData(nameof(ComponentSets))]
    public void Resiliency_targets_name_components_of_the_set_and_policies_that_are_there(string set)
    {
        var spec = (YamlMappingNode)ReadYaml(PathOf(set, "resiliency.yaml"))[0]["spec"];
        HashSet<string> policies = [.. ((YamlMappingNode)spec["policies"]).Children.Values.Cast<YamlMappingNode>().SelectMany(kind => kind.Children.Keys).Select(name => ((YamlScalarNode)name).Value!)];
        var components = (YamlMappingNode)spec["targets"]["components"];

        Assert.All(components.Children.Keys, name => Assert.True(File.Exists(PathOf(set, $"{name}.yaml"))));
        string[] used = [.. components.Children.Values.Cast<YamlMappingNode>().SelectMany(target => target.Children.Values).Cast<YamlMappingNode>().SelectMany(direction => direction.Children.Values).Select(value => ((YamlScalarNode)value).Value!)];
        Assert.NotEmpty(used);
        Assert.Subset(policies, used.ToHashSet());
    }

    [Fact]
    public void The_state_store_of_every_set_also_holds_actors_and_the_deltas_have_a_group_for_each_replica()
    {
        foreach (string set in ComponentSets)
        {
            Assert.Equal("true", Metadata(set, "statestore.yaml")["actorStateStore"]);
            Assert.Equal("{uuid}", Metadata(set, "deltas.yaml")["consumerID"]);
        }
    }

    private static Dictionary<string, string> Metadata(string set, string file) =>
        ((YamlSequenceNode)ReadYaml(PathOf(set, file))[0]["spec"]["metadata"]).Cast<YamlMappingNode>()
            .ToDictionary(entry => Text(entry, "name"), entry => entry.Children.TryGetValue("value", out YamlNode? value) ? ((YamlScalarNode)value).Value! : "");

    private static string[] Files(string set) => [.. Directory.GetFiles(Path.Combine(MeshHost.RepositoryRoot, "components", set)).Select(path => Path.GetFileName(path)!).Order()];

    private static string PathOf(string set, string file) => Path.Combine(MeshHost.RepositoryRoot, "components", set, file);

    private static string Text(YamlMappingNode node, string key) => ((YamlScalarNode)node[key]).Value!;

    private static YamlMappingNode[] ReadYaml(string path)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(File.ReadAllText(path)));
        return [.. stream.Documents.Select(document => (YamlMappingNode)document.RootNode)];
    }
}
