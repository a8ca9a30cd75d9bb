using Mesh.Sidecar.Components;
using Mesh.Testing;

namespace Mesh.Sidecar.Tests.Core;

public sealed class ComponentLoaderTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Files_of_both_endings_and_all_their_documents_are_read_by_kind()
    {
        _folder.Write("a.yaml", Yaml("one", "state.in-memory") + "---\n" + Yaml("two", "state.in-memory") + "---\n# nothing\n---\n");
        _folder.Write("b.yml", Yaml("three", "state.in-memory"));
        _folder.Write("c.yaml", "kind: Resiliency\nmetadata: {name: r}\nscopes: [app]\nspec: {policies: {}}\n");
        _folder.Write("d.yaml", "version: 1\napps: []\n");
        _folder.Write("notes.txt", "kind: Component");

        ResourceFiles files = await ResourceFiles.LoadAsync([_folder.Path], default);

        Assert.Equal(["one", "two", "three"], new ComponentLoader(Reader()).Load(files).Select(component => component.Name));
        ResourceDocument resiliency = Assert.Single(files.OfKind("Resiliency"));
        Assert.Equal(("r", true, false), (resiliency.Name, resiliency.IsVisibleTo("app"), resiliency.IsVisibleTo("other")));
    }

    [Fact]
    public async Task A_component_is_visible_to_its_scopes_only()
    {
        _folder.Write("a.yaml", Yaml("open", "state.in-memory") + "---\n" + Yaml("closed", "state.in-memory") + "scopes:\n- other\n- third\n");

        Assert.Equal(["open"], (await LoadAsync("app")).Select(component => component.Name));
        Assert.Equal(["open", "closed"], (await LoadAsync("third")).Select(component => component.Name));
    }

    [Fact]
    public async Task A_type_that_is_not_here_is_told_with_component_type_list_and_way_out()
    {
        _folder.Write("a.yaml", Yaml("orders", "state.cosmosdb"));

        var error = await Assert.ThrowsAsync<ComponentException>(() => LoadAsync("app"));

        foreach (string part in new[] { "orders", "state.cosmosdb", "a.yaml", "state.sqlite", "pubsub.in-memory", "daprd" })
        {
            Assert.Contains(part, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Ignore_errors_leaves_the_component_out_and_keeps_the_reason()
    {
        _folder.Write("a.yaml", Yaml("orders", "state.cosmosdb", "  ignoreErrors: true\n") + "---\n" + Yaml("ok", "state.in-memory"));
        var loader = new ComponentLoader(Reader());

        IReadOnlyList<ComponentDefinition> components = loader.Load(await ResourceFiles.LoadAsync([_folder.Path], default));

        Assert.Equal(["ok"], components.Select(component => component.Name));
        Assert.Contains("state.cosmosdb", Assert.Single(loader.Ignored).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_taken_twice_is_refused_with_both_files()
    {
        _folder.Write("a.yaml", Yaml("same", "state.in-memory"));
        _folder.Write("b.yaml", Yaml("same", "bindings.localstorage"));

        var error = await Assert.ThrowsAsync<ComponentException>(() => LoadAsync("app"));

        Assert.Contains("a.yaml", error.Message, StringComparison.Ordinal);
        Assert.Contains("b.yaml", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_apps_may_each_have_their_own_component_of_one_name()
    {
        _folder.Write("a.yaml", Yaml("same", "state.in-memory") + "scopes: [app]\n");
        _folder.Write("b.yaml", Yaml("same", "state.in-memory") + "scopes: [other]\n");

        Assert.Single(await LoadAsync("app"));
    }

    [Theory]
    [InlineData("kind: Component\nmetadata: {name: x}\nspec: {version: v1}\n", "no spec.type")]
    [InlineData("kind: Component\nspec: {type: state.in-memory}\n", "no metadata.name")]
    [InlineData("kind: Component\nmetadata: {name: x}\nspec: {type: state.in-memory, version: v2}\n", "version v2")]
    [InlineData("kind: Component\nmetadata: {name: x}\nspec: {type: state.in-memory, version: v1, metadata: [{value: 1}]}\n", "without a name")]
    [InlineData("kind: [\n", "not valid YAML")]
    public async Task A_document_that_cannot_be_used_is_told_with_its_file(string yaml, string reason)
    {
        _folder.Write("a.yaml", yaml);

        var error = await Assert.ThrowsAsync<ComponentException>(() => LoadAsync("app"));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.Contains("a.yaml", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_resources_path_that_does_not_exist_is_an_error()
    {
        var error = await Assert.ThrowsAsync<ComponentException>(() => ResourceFiles.LoadAsync([Path.Combine(_folder.Path, "absent")], default));

        Assert.Contains("absent", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Values_may_be_text_number_template_environment_or_secret()
    {
        Environment.SetEnvironmentVariable("COMPONENT_LOADER_TESTS_VALUE", "from-env");
        _folder.Write("secrets.json", """{"plain":"p1","nested":{"key":"n1"}}""");
        _folder.Write("secrets.yaml", Yaml("vault", "secretstores.local.file", "  metadata:\n  - {name: secretsFile, value: secrets.json}\n"));
        _folder.Write("a.yaml", Yaml("c", "state.in-memory", """
              metadata:
              - {name: text, value: hello}
              - {name: number, value: 42}
              - {name: flag, value: true}
              - {name: templates, value: "{appID}/{namespace}/{podName}/{uuid}/{uuid}"}
              - {name: env, envRef: COMPONENT_LOADER_TESTS_VALUE}
              - {name: plain, secretKeyRef: {name: plain, key: plain}}
              - {name: nested, secretKeyRef: {name: nested, key: key}}

            """.Replace("\n    ", "\n", StringComparison.Ordinal)) + "auth: {secretStore: vault}\n");

        ComponentDefinition component = (await LoadAsync("app")).Single(component => component.Name == "c");

        Assert.Equal(["hello", "42", "true", "from-env", "p1", "n1"],
            new[] { "TEXT", "number", "flag", "env", "plain", "nested" }.Select(name => component.Metadata[name]));
        string[] templates = component.Metadata["templates"].Split('/');
        Assert.Equal(["app", "prod.app", "pod-1"], templates.Take(3));
        Assert.NotEqual(Guid.Parse(templates[3]), Guid.Parse(templates[4]));
    }

    [Theory]
    [InlineData("- {name: x, envRef: DAPR_API_TOKEN}", "reserved")]
    [InlineData("- {name: x, secretKeyRef: {name: s}}", "no secret store")]
    public async Task References_that_lead_nowhere_are_refused(string item, string reason)
    {
        _folder.Write("a.yaml", Yaml("c", "state.in-memory", $"  metadata:\n  {item}\n"));

        var error = await Assert.ThrowsAsync<ComponentException>(() => LoadAsync("app"));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("20s", 20_000)]
    [InlineData("1h30m", 5_400_000)]
    [InlineData("1.5s", 1_500)]
    [InlineData("500ms", 500)]
    [InlineData("30", 30_000)]
    [InlineData("-1", -1_000)]
    [InlineData("0", 0)]
    public void Durations_read_as_go_writes_them(string text, double milliseconds)
    {
        Assert.True(GoDuration.TryParse(text, out TimeSpan value));
        Assert.Equal(milliseconds, value.TotalMilliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("1x")]
    [InlineData("1h2")]
    [InlineData("soon")]
    public void Anything_else_is_no_duration(string text)
    {
        Assert.False(GoDuration.TryParse(text, out _));
    }

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(0.5, "500ms")]
    [InlineData(5, "5s")]
    [InlineData(90, "1m30s")]
    [InlineData(3600, "1h0m0s")]
    public void Durations_print_as_go_prints_them(double seconds, string text)
    {
        Assert.Equal(text, GoDuration.Format(TimeSpan.FromSeconds(seconds)));
    }

    private static ComponentReader ReaderOf(string appId, string folder) => new(appId, "prod", "pod-1", folder);

    private static string Yaml(string name, string type, string more = "") =>
        $"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {type}\n  version: v1\n{more}";

    private ComponentReader Reader() => ReaderOf("app", _folder.Path);

    private async Task<IReadOnlyList<ComponentDefinition>> LoadAsync(string appId) =>
        new ComponentLoader(ReaderOf(appId, _folder.Path)).Load(await ResourceFiles.LoadAsync([_folder.Path], default));
}
