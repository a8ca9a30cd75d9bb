using System.Diagnostics;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>The built simulator, run as a user runs it.</summary>
internal static class SimulatorProcess
{
    /// <returns>What it printed.</returns>
    public static async Task<string> RunAsync(MeshHost host, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["exec", MeshHost.BuiltAssembly("Simulator"), .. arguments, "--url", host.GatewayUrl]) start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"simulator {string.Join(' ', arguments)} ended with {process.ExitCode}: {await output} {await errors}");
        return await output;
    }
}
