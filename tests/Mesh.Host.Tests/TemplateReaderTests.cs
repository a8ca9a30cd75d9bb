using Mesh.Host.Topology;
using Mesh.Testing;

namespace Mesh.Host.Tests;

public sealed class TemplateReaderTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public TemplateReaderTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder.Path, "web"));
        Directory.CreateDirectory(Path.Combine(_folder.Path, "back"));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Read_takes_every_member_of_an_app()
    {
        AppTemplate app = Read("""
            version: 1
            apps:
              - appID: webapp
                appDirPath: web
                resourcesPaths: one, /two
                configFilePath: config.yaml
                appPort: 8080
                daprHTTPPort: 3500
                daprGRPCPort: 50001
                appMaxConcurrency: 7
                enableAppHealthCheck: true
                daprHTTPMaxRequestSize: 16
                env:
                  DEBUG: true
                  EMPTY:
                command: ["python3", "app.py"]
            """).Apps.Single();

        Assert.Equal("webapp", app.AppId);
        Assert.Equal(In("web"), app.AppDirectory);
        Assert.Equal((8080, 3500, 50001), (app.AppPort!.Value, app.DaprHttpPort!.Value, app.DaprGrpcPort!.Value));
        Assert.Equal([In("web", "one"), "/two"], app.ResourcesPaths);
        Assert.Equal(In("web", "config.yaml"), app.ConfigFilePath);
        Assert.Equal(["python3", "app.py"], app.Command);
        Assert.Equal("true", app.Environment["DEBUG"]);
        Assert.Equal("", app.Environment["EMPTY"]);
        Assert.Equal("7", app.Settings["appMaxConcurrency"]);
        Assert.Equal(16 * 1024 * 1024, app.BodyBytesMax);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("4096")]
    public void A_request_size_that_no_sidecar_can_have_is_a_fault(string megabytes)
    {
        TemplateException exception = Assert.Throws<TemplateException>(() => Read($"""
            version: 1
            apps:
              - appDirPath: web
                daprHTTPMaxRequestSize: {megabytes}
            """));

        Assert.Contains("expected a number of 1-2047", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Common_paths_are_relative_to_the_template_and_an_app_overrides_common_values()
    {
        RunTemplate template = Read("""
            version: 1
            common:
              resourcesPath: ./components
              logLevel: debug
              env: { SHARED: common, ONLY: common }
            apps:
              - appDirPath: web
                logLevel: warn
                env: { SHARED: own }
              - appDirPath: ./back/
                resourcesPath: ../own
            """);

        AppTemplate web = template.Apps[0];
        Assert.Equal([In("components")], web.ResourcesPaths);
        Assert.Equal("warn", web.Settings["logLevel"]);
        Assert.Equal(("own", "common"), (web.Environment["SHARED"], web.Environment["ONLY"]));
        Assert.Equal("back", template.Apps[1].AppId);
        Assert.Equal([In("own")], template.Apps[1].ResourcesPaths);
        Assert.Empty(template.Apps[1].Command);
        Assert.Null(template.Apps[1].AppPort);
    }

    [Fact]
    public void An_apps_own_dapr_resources_folder_stands_in_where_it_names_none()
    {
        Directory.CreateDirectory(Path.Combine(_folder.Path, "web", ".dapr", "resources"));

        RunTemplate template = Read("""
            version: 1
            common: { resourcesPath: ./components }
            apps: [{ appDirPath: web }, { appDirPath: back }]
            """);

        Assert.Equal([In("web", ".dapr", "resources")], template.Apps[0].ResourcesPaths);
        Assert.Equal([In("components")], template.Apps[1].ResourcesPaths);
    }

    [Theory]
    [InlineData("apps: [{ appDirPath: web }]", "line 1: version is missing")]
    [InlineData("version: 2\napps: [{ appDirPath: web }]", "line 1: version 2 is not supported; expected 1")]
    [InlineData("version: 1", "line 1: apps is missing")]
    [InlineData("version: 1\napps: []", "line 2: apps must be a list with at least one app")]
    [InlineData("version: 1\napps: [{ appID: a }]", "line 2: appDirPath is missing")]
    [InlineData("version: 1\napps: [{ appDirPath: nowhere }]", "line 2: appDirPath nowhere: there is no folder")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    appport: 80", "line 4: 'appport' is not a property of an app; did you mean 'appPort'?")]
    [InlineData("version: 1\nfoo: 1\napps: [{ appDirPath: web }]", "line 2: 'foo' is not a property of the template")]
    [InlineData("version: 1\ncommon: { appPort: 80 }\napps: [{ appDirPath: web }]", "line 2: 'appPort' is not a property of common")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    appPort: 65536", "line 4: appPort 65536: expected a port of 1-65535")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    metricsPort: x", "line 4: metricsPort x: expected a port of 1-65535")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    enableProfiling: maybe", "line 4: enableProfiling maybe: expected a Boolean")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    command: dotnet run", "line 4: command must be a list of words")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    env: [A]", "line 4: env must be a mapping")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n    appID: a b", "line 4: appID a b: expected letters")]
    [InlineData("version: 1\napps:\n  - appDirPath: web\n  - appDirPath: web", "appID web is used by 2 apps")]
    [InlineData("version: 1\napps:\n  - { appDirPath: web, appPort: 80 }\n  - { appDirPath: back, daprGRPCPort: 80 }", "port 80 is used twice: appPort of web and daprGRPCPort of back")]
    [InlineData("version: [", "not valid YAML")]
    [InlineData("", "line 1: expected a mapping")]
    public void Read_names_the_line_and_the_fault(string yaml, string fault)
    {
        TemplateException exception = Assert.Throws<TemplateException>(() => Read(yaml));

        Assert.Contains(exception.Faults, found => found.Contains(fault, StringComparison.Ordinal));
        Assert.Contains("dapr.yaml", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_lists_all_faults_at_once()
    {
        TemplateException exception = Assert.Throws<TemplateException>(() => Read("""
            version: 3
            apps:
              - appDirPath: nowhere
                appPort: 0
                colour: red
            """));

        Assert.Equal(4, exception.Faults.Count);
    }

    [Fact]
    public void A_folder_stands_for_the_dapr_yaml_in_it_and_Find_looks_upward()
    {
        File.WriteAllText(Path.Combine(_folder.Path, "dapr.yaml"), "version: 1\napps: [{ appDirPath: web }]");

        Assert.Equal("web", TemplateReader.Read(_folder.Path).Apps.Single().AppId);
        Assert.Equal(In("dapr.yaml"), TemplateReader.Find(Path.Combine(_folder.Path, "web")));
        Assert.Throws<TemplateException>(() => TemplateReader.Read(Path.Combine(_folder.Path, "web")));
    }

    private RunTemplate Read(string yaml) => TemplateReader.Parse(Path.Combine(_folder.Path, "dapr.yaml"), yaml);

    private string In(params string[] parts) => Path.Combine([_folder.Path, .. parts]);
}
