using Mesh.Simulator;

namespace Mesh.Host.Tests;

public sealed class HostArgumentsTests
{
    [Fact]
    public void Defaults_run_embedded_with_fixed_ports_and_restarts()
    {
        HostArguments arguments = HostArguments.Parse([]);

        Assert.Equal((RuntimeKind.Embedded, false, true, false), (arguments.Runtime, arguments.AutomaticPorts, arguments.Restart, arguments.Demo));
        Assert.Equal(".feedmesh", arguments.DataDirectory);
    }

    [Fact]
    public void Every_flag_is_read_in_both_spellings()
    {
        HostArguments arguments = HostArguments.Parse(
            ["--demo", "--data=/d", "--file", "x.yaml", "--resources-path", "a", "--resources-path", "b", "--ports=auto", "--app-port", "gateway=9", "--runtime", "dapr", "--shards", "3", "--no-restart"]);

        Assert.Equal((RuntimeKind.Dapr, true, false, true), (arguments.Runtime, arguments.AutomaticPorts, arguments.Restart, arguments.Demo));
        Assert.Equal(("/d", "x.yaml"), (arguments.DataDirectory, arguments.File));
        Assert.Equal(["a", "b"], arguments.ResourcesPaths);
        Assert.Equal(9, arguments.AppPorts["gateway"]);
        Assert.Equal(3, arguments.Shards);
    }

    [Theory]
    [InlineData("--dmeo", "--dmeo is not a flag")]
    [InlineData("--data", "--data needs a value: --data DIR")]
    [InlineData("--demo=1", "--demo takes no value")]
    [InlineData("--runtime=k8s", "--runtime k8s: expected embedded or dapr")]
    [InlineData("--shards=0", "--shards 0: expected a number of 1-64")]
    [InlineData("--shards=65", "--shards 65: expected a number of 1-64")]
    [InlineData("--shards=two", "--shards two: expected a number of 1-64")]
    [InlineData("--ports=8080", "--ports 8080: expected fixed or auto")]
    [InlineData("--app-port=8080", "--app-port 8080: expected APP=PORT")]
    [InlineData("--app-port=gateway=70000", "expected APP=PORT with a port of 1-65535")]
    public void A_wrong_flag_is_named(string flag, string message)
    {
        CommandLineException exception = Assert.Throws<CommandLineException>(() => HostArguments.Parse([flag]));

        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Usage_lists_every_flag()
    {
        Assert.All(
            (string[])["--demo", "--data", "--file", "--resources-path", "--ports", "--app-port", "--dapr-http-port", "--dapr-grpc-port", "--runtime", "--shards", "--no-restart", "--help"],
            flag => Assert.Contains(flag, HostArguments.Usage, StringComparison.Ordinal));
    }
}
