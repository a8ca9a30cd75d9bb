using Mesh.Host.Processes;
using Mesh.Host.Runtime;
using Mesh.Host.Topology;
using Mesh.Testing;

namespace Mesh.Host.Tests;

public sealed class ProcessPartsTests : IDisposable
{
    private static readonly AppPorts Ports = new(8080, 3500, 50001);
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Backoff_doubles_from_200_ms_to_5_s_and_starts_over_after_30_s_up()
    {
        var backoff = new RestartBackoff();

        double[] delays = [.. Enumerable.Range(0, 7).Select(_ => backoff.Next(TimeSpan.FromSeconds(1)).TotalMilliseconds)];

        Assert.Equal([200, 400, 800, 1600, 3200, 5000, 5000], delays);
        Assert.Equal(200, backoff.Next(TimeSpan.FromSeconds(30)).TotalMilliseconds);
        Assert.Equal(400, backoff.Next(TimeSpan.FromSeconds(29)).TotalMilliseconds);
    }

    [Theory]
    [InlineData("a\nb\r\nc", new[] { "a", "b", "c" })]
    [InlineData("a\n\nb\n", new[] { "a", "", "b" })]
    [InlineData("", new string[0])]
    public async Task Lines_end_with_either_line_feed_and_the_last_needs_none(string text, string[] expected)
    {
        var lines = new List<string>();

        await BoundedLines.ReadAsync(new StringReader(text), lines.Add);

        Assert.Equal(expected, lines);
    }

    [Fact]
    public async Task A_line_without_an_end_comes_in_bounded_pieces_that_lose_nothing()
    {
        string text = new('x', BoundedLines.LengthMax * 2 + 5);
        var lines = new List<string>();

        await BoundedLines.ReadAsync(new StringReader($"head\n{text}\ntail"), lines.Add);

        Assert.All(lines, line => Assert.True(line.Length <= BoundedLines.LengthMax));
        Assert.Equal($"head{text}tail", string.Concat(lines));
    }

    [Fact]
    public void Colours_mark_names_on_a_terminal_only()
    {
        var coloured = new StringWriter();
        var plain = new StringWriter();

        new PrefixedOutput(coloured, colours: true, nameWidth: 3).WriteLine("a", "x");
        new PrefixedOutput(plain, colours: false, nameWidth: 3).WriteLine("a", "x");

        Assert.StartsWith("\e[36ma   |\e[0m x", coloured.ToString(), StringComparison.Ordinal);
        Assert.Equal($"a   | x{Environment.NewLine}", plain.ToString());
    }

    [Fact]
    public void Dotnet_run_becomes_the_assembly_built_beside_the_host_and_keeps_the_apps_own_arguments()
    {
        string bin = Build("gateway");
        AppTemplate app = App("gateway", "dotnet", "run", "--no-launch-profile", "--", "--x", "1");

        IReadOnlyList<string> command = AppCommand.Resolve(app, bin);

        Assert.Equal([_folder.In("artifacts", "bin", "gateway", "debug", "gateway.dll"), "--x", "1"], command.Skip(1));
        Assert.StartsWith("dotnet", Path.GetFileName(command[0]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_command_runs_as_it_is_where_it_is_another_program_or_nothing_is_built()
    {
        string bin = Build("gateway");

        Assert.Equal(["python3", "app.py"], AppCommand.Resolve(App("gateway", "python3", "app.py"), bin));
        Assert.Equal(["dotnet", "run"], AppCommand.Resolve(App("other", "dotnet", "run"), bin));
    }

    [Fact]
    public void A_child_gets_the_variables_of_dapr_run_and_no_address_but_its_port()
    {
        Environment.SetEnvironmentVariable("ASPNETCORE_URLS", "http://*:1");
        try
        {
            AppTemplate app = App("web", "sh") with { Environment = new Dictionary<string, string> { ["OWN"] = "1", ["APP_PORT"] = "2" } };

            var environment = AppCommand.StartInfo(app, Ports, _folder.Path).Environment;

            Assert.Equal(("web", "8080", "3500", "50001"), (environment["APP_ID"], environment["APP_PORT"], environment["DAPR_HTTP_PORT"], environment["DAPR_GRPC_PORT"]));
            Assert.Equal(("http://127.0.0.1:3500", "http://127.0.0.1:50001"), (environment["DAPR_HTTP_ENDPOINT"], environment["DAPR_GRPC_ENDPOINT"]));
            Assert.Equal((Environment.ProcessId.ToString(null, null), "1"), (environment["MESH_PARENT_PID"], environment["OWN"]));
            Assert.False(environment.ContainsKey("ASPNETCORE_URLS"));
        }
        finally
        {
            Environment.SetEnvironmentVariable("ASPNETCORE_URLS", null);
        }
    }

    [Fact]
    public void Daprd_gets_a_flag_for_everything_that_the_template_says()
    {
        AppTemplate app = App("web", "sh") with
        {
            ResourcesPaths = ["/a", "/b"],
            ConfigFilePath = "/c.yaml",
            Settings = new Dictionary<string, string> { ["daprHTTPMaxRequestSize"] = "64", ["enableProfiling"] = "true", ["appLogDestination"] = "file", ["metricsPort"] = "9" },
        };

        IReadOnlyList<string> arguments = DaprdRuntime.Arguments(app, Ports, internalGrpcPort: 7, metricsPort: 8);

        Assert.Equal(
            ["--app-id", "web", "--dapr-http-port", "3500", "--dapr-grpc-port", "50001", "--app-port", "8080", "--resources-path", "/a", "--resources-path", "/b", "--config", "/c.yaml",
                "--dapr-internal-grpc-port", "7", "--dapr-http-max-request-size", "64", "--enable-profiling=true", "--metrics-port", "9"],
            arguments);
    }

    [Fact]
    public void Daprd_is_looked_for_where_it_was_said_to_be_then_on_the_path_and_its_absence_is_explained()
    {
        string file = OperatingSystem.IsWindows() ? "daprd.exe" : "daprd";
        string daprd = _folder.In("bin", file);
        Directory.CreateDirectory(_folder.In("bin"));
        File.WriteAllText(daprd, "");

        Assert.Equal(daprd, DaprdRuntime.Locate(Variables(("DAPR_RUNTIME_PATH", daprd))));
        Assert.Equal(daprd, DaprdRuntime.Locate(Variables(("DAPR_RUNTIME_PATH", _folder.In("bin")))));
        Assert.Equal(daprd, DaprdRuntime.Locate(Variables(("PATH", _folder.In("bin")))));
        Assert.Contains("DAPR_RUNTIME_PATH is /nowhere", Assert.Throws<RuntimeException>(() => DaprdRuntime.Locate(Variables(("DAPR_RUNTIME_PATH", "/nowhere")))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Components_that_only_the_embedded_sidecar_has_are_refused_for_daprd()
    {
        string root = Mesh.Testing.MeshHost.RepositoryRoot;

        RuntimeException exception = Assert.Throws<RuntimeException>(() => DaprdRuntime.CheckResources([Path.Combine(root, "components", "local")]));
        DaprdRuntime.CheckResources([Path.Combine(root, "components", "redis")]);

        Assert.Contains("pubsub.sqlite", exception.Message, StringComparison.Ordinal);
        Assert.Contains("--resources-path components/redis", exception.Message, StringComparison.Ordinal);
    }

    private AppTemplate App(string id, params string[] command)
    {
        Directory.CreateDirectory(_folder.In(id));
        if (!File.Exists(_folder.In(id, $"{id}.csproj"))) File.WriteAllText(_folder.In(id, $"{id}.csproj"), "<Project/>");
        return new AppTemplate { AppId = id, AppDirectory = _folder.In(id), AppPort = 8080, Command = command };
    }

    // artifacts/bin/{project}/debug, with the host beside the project; answers the host's folder.
    private string Build(string project)
    {
        Directory.CreateDirectory(_folder.In("artifacts", "bin", project, "debug"));
        File.WriteAllText(_folder.In("artifacts", "bin", project, "debug", $"{project}.dll"), "");
        string bin = _folder.In("artifacts", "bin", "host", "debug");
        Directory.CreateDirectory(bin);
        return bin + Path.DirectorySeparatorChar;
    }

    private static Func<string, string?> Variables(params (string Name, string Value)[] variables) =>
        name => variables.FirstOrDefault(variable => variable.Name == name).Value;
}
