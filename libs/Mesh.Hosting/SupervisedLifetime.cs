using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace Mesh.Hosting;

/// <summary>
/// The lifetime of a service that a host started (<c>MESH_PARENT_PID</c>): SIGTERM stops it, Ctrl-C does not. A terminal sends Ctrl-C
/// to the host and to all services at once; the host alone decides in which order they stop, so that requests in flight find
/// the services behind the gateway still there.
/// </summary>
internal sealed class SupervisedLifetime(IHostApplicationLifetime lifetime) : IHostLifetime, IDisposable
{
    private readonly List<PosixSignalRegistration> _signals = [];

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => signal.Cancel = true));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
        {
            signal.Cancel = true; // the application ends by itself, after its requests
            lifetime.StopApplication();
        }));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
    }
}
