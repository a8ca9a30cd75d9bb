using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using Mesh.Testing;

namespace Mesh.Host.Tests;

/// <summary>The built host as a process: what it starts, what it says, and that it leaves nothing behind.</summary>
public sealed class HostProcessTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [UnixFact]
    public async Task The_mesh_starts_restarts_a_killed_service_and_stops_without_leaving_anything()
    {
        await using MeshHost host = await MeshHost.StartAsync();
        int[] pids = [.. Contracts().Select(host.AppPid)];

        Assert.All(pids, pid => Assert.True(IsRunning(pid)));
        Assert.Equal(HttpStatusCode.OK, (await host.Http.GetAsync("/readyz")).StatusCode);
        await UntilAsync(() => host.Output.Contains($"{host.GatewayUrl}/swagger", StringComparison.Ordinal), host); // the table

        int killed = host.KillApp("ranker");
        await host.WaitUntilAppRestartedAsync("ranker", killed);
        Assert.Contains("ranker is gone (killed (signal 9))", host.Output, StringComparison.Ordinal);
        pids = [.. Contracts().Select(host.AppPid)];

        Assert.Equal(0, await host.StopAsync());
        Assert.All(pids, pid => Assert.False(IsRunning(pid)));
        Assert.False(File.Exists(Path.Combine(host.DataDirectory, "run.json")));
    }

    [UnixFact]
    public async Task A_killed_host_takes_its_services_with_it_and_its_successor_finds_data_and_ports_free()
    {
        await using MeshHost host = await MeshHost.StartAsync();
        int[] pids = [.. Contracts().Select(host.AppPid)];
        string url = host.GatewayUrl;

        host.KillHost();
        await host.RestartAsync();

        Assert.Equal(url, host.GatewayUrl);
        Assert.All(pids, pid => Assert.False(IsRunning(pid)));
        Assert.Equal(HttpStatusCode.OK, (await host.Http.GetAsync("/readyz")).StatusCode);
    }

    [UnixFact]
    public async Task A_second_host_on_the_same_data_is_refused()
    {
        await using MeshHost first = MeshHost.Launch(Tiny("exec sleep 600"));
        await first.WaitUntilReadyAsync();

        await using MeshHost second = MeshHost.Launch(Tiny("exec sleep 600"));
        await second.WaitForExitAsync();

        Assert.Equal(1, second.ExitCode);
        Assert.Contains($"is in use by another host (process {first.Pid}", second.Output, StringComparison.Ordinal);
    }

    [UnixFact]
    public async Task Ctrl_C_stops_the_apps_in_order_and_the_host_exits_with_0()
    {
        await using MeshHost host = MeshHost.Launch(Tiny("trap 'echo term $APP_ID; exit 0' TERM; echo up $APP_ID; while :; do sleep 0.05; done"));
        await host.WaitUntilReadyAsync();
        await UntilAsync(() => host.Output.Contains("up one", StringComparison.Ordinal) && host.Output.Contains("up two", StringComparison.Ordinal), host);

        Signal(host.Pid, SigInt);
        await host.WaitForExitAsync();

        Assert.Equal(0, host.ExitCode);
        Assert.Equal(["term one", "term two"], host.Output.Split('\n').Where(line => line.Contains("term ", StringComparison.Ordinal)).Select(line => line.Split(" | ")[1]));
    }

    [UnixFact]
    public async Task A_second_Ctrl_C_kills_what_does_not_stop()
    {
        await using MeshHost host = MeshHost.Launch(Tiny("trap 'echo term $APP_ID' TERM; echo up $APP_ID; while :; do sleep 0.05; done"));
        await host.WaitUntilReadyAsync();
        await UntilAsync(() => host.Output.Contains("up one", StringComparison.Ordinal) && host.Output.Contains("up two", StringComparison.Ordinal), host);
        int[] pids = [host.AppPid("one"), host.AppPid("two")];

        Signal(host.Pid, SigInt);
        await UntilAsync(() => host.Output.Contains("term one", StringComparison.Ordinal), host);
        long second = Stopwatch.GetTimestamp();
        Signal(host.Pid, SigInt);
        await host.WaitForExitAsync();

        Assert.Equal(130, host.ExitCode);
        Assert.True(Stopwatch.GetElapsedTime(second) < HostRun.StopPatience, "it waited for the patience to pass");
        Assert.All(pids, pid => Assert.False(IsRunning(pid)));
    }

    [UnixFact]
    public async Task A_host_that_was_started_to_ignore_Ctrl_C_does_and_stops_when_it_is_told_to()
    {
        await using MeshHost host = MeshHost.Launch(Tiny("trap 'echo term $APP_ID; exit 0' TERM; echo up $APP_ID; while :; do sleep 0.05; done") with { IgnoresInterrupt = true });
        await host.WaitUntilReadyAsync();
        await UntilAsync(() => host.Output.Contains("up one", StringComparison.Ordinal) && host.Output.Contains("up two", StringComparison.Ordinal), host);

        Signal(host.Pid, SigInt);

        Assert.Equal(0, await host.StopAsync()); // by SIGTERM; as the second signal that it heeds it would cut the stop short, with 130
    }

    [UnixFact]
    public async Task A_wrong_flag_prints_the_usage_and_exits_with_2()
    {
        await using MeshHost host = MeshHost.Launch(Tiny("exit 0") with { Arguments = ["--wrong"] });
        await host.WaitForExitAsync();

        Assert.Equal(2, host.ExitCode);
        Assert.Contains("--wrong is not a flag of this command.", host.Output, StringComparison.Ordinal);
        Assert.Contains("--no-restart", host.Output, StringComparison.Ordinal);
    }

    [UnixFact]
    public async Task Without_daprd_the_dapr_runtime_says_how_to_get_it()
    {
        Directory.CreateDirectory(_folder.In("components"));
        await using MeshHost host = MeshHost.Launch(Tiny("exit 0") with
        {
            Arguments = ["--runtime", "dapr"],
            Environment = new Dictionary<string, string> { ["DAPR_RUNTIME_PATH"] = _folder.In("nothing") },
        });
        await host.WaitForExitAsync();

        Assert.Equal(1, host.ExitCode);
        Assert.Contains("there is no daprd", host.Output, StringComparison.Ordinal);
    }

    [UnixFact]
    public async Task The_dapr_runtime_starts_and_stops_a_daprd_for_each_app()
    {
        string daprd = _folder.In("daprd");
        File.WriteAllText(daprd, "#!/bin/sh\necho daprd got \"$@\"\nexec sleep 600\n");
        if (OperatingSystem.IsWindows()) return; // UnixFact skips it there; this tells the compiler
        File.SetUnixFileMode(daprd, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await using MeshHost host = MeshHost.Launch(Tiny("exec sleep 600") with
        {
            Arguments = ["--runtime", "dapr"],
            Environment = new Dictionary<string, string> { ["DAPR_RUNTIME_PATH"] = daprd },
        });
        await host.WaitUntilReadyAsync();
        await UntilAsync(() => host.Output.Contains("daprd got --app-id two", StringComparison.Ordinal), host);

        Assert.Contains("daprd got --app-id one --dapr-http-port", host.Output, StringComparison.Ordinal);
        Assert.Equal(0, await host.StopAsync());
        Assert.Equal(2, host.Output.Split("daprd of ").Length - 1);
    }

    private const int SigInt = 2;

    private static IEnumerable<string> Contracts() => typeof(Mesh.Contracts.AppIds).GetFields().Select(field => (string)field.GetRawConstantValue()!);

    // Two apps without ports, each a shell script: what the host does with processes, without five services.
    private MeshHostOptions Tiny(string script)
    {
        foreach (string app in (string[])["one", "two"]) Directory.CreateDirectory(_folder.In(app));
        Directory.CreateDirectory(_folder.In("components"));
        string command = $"command: [\"/bin/sh\", \"-c\", \"{script}\"]";
        File.WriteAllText(_folder.In("dapr.yaml"), $"""
            version: 1
            common:
              resourcesPath: ./components
            apps:
              - appDirPath: one
                {command}
              - appDirPath: two
                {command}
            """);
        return new MeshHostOptions { File = _folder.In("dapr.yaml"), DataDirectory = _folder.In("data") };
    }

    private static async Task UntilAsync(Func<bool> condition, MeshHost host)
    {
        long started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(30), $"The condition did not come true in time.\n{host.Output}");
            await Task.Delay(20);
        }
    }

    private static bool IsRunning(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static void Signal(int pid, int signal) => Assert.Equal(0, Kill(pid, signal));

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int pid, int signal);
}
