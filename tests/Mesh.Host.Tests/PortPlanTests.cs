using System.Net;
using System.Net.Sockets;
using Mesh.Host.Topology;

namespace Mesh.Host.Tests;

public sealed class PortPlanTests
{
    [Fact]
    public void A_taken_port_is_named_with_its_app_and_the_flag_that_changes_it()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;

        PortException exception = Assert.Throws<PortException>(() => PortPlan.Make(Template(port, PortPlan.Free()), HostArguments.Parse([])));

        Assert.Contains($"Port {port} (appPort of web) is in use", exception.Message, StringComparison.Ordinal);
        Assert.Contains("--app-port web=", exception.Message, StringComparison.Ordinal);
        Assert.Contains("--ports auto", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_another_process_has_on_every_address_counts_as_taken()
    {
        using var listener = new TcpListener(IPAddress.Any, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;

        PortException exception = Assert.Throws<PortException>(() => PortPlan.Make(Template(PortPlan.Free(), port), HostArguments.Parse([])));

        Assert.Contains($"Port {port} (daprHTTPPort of web) is in use", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flag_overrides_the_template_and_auto_overrides_what_no_flag_names()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int taken = ((IPEndPoint)listener.LocalEndpoint).Port;
        int chosen = PortPlan.Free();

        AppPorts ports = PortPlan.Make(Template(taken, taken + 1), HostArguments.Parse(["--ports", "auto", "--dapr-grpc-port", $"web={chosen}"]))["web"];

        Assert.NotEqual(taken, ports.App);
        Assert.Equal(chosen, ports.DaprGrpc);
        Assert.Equal(3, new HashSet<int> { ports.App, ports.DaprHttp, ports.DaprGrpc }.Count);
    }

    [Fact]
    public void A_flag_for_an_app_that_is_not_there_is_an_error()
    {
        PortException exception = Assert.Throws<PortException>(() => PortPlan.Make(Template(1, 2), HostArguments.Parse(["--app-port", "wbe=80"])));

        Assert.Contains("has no app wbe; it has web", exception.Message, StringComparison.Ordinal);
    }

    private static RunTemplate Template(int appPort, int daprHttpPort) =>
        new("/x/dapr.yaml", [new AppTemplate { AppId = "web", AppDirectory = "/x", AppPort = appPort, DaprHttpPort = daprHttpPort }]);
}
