using Mesh.Gateway.Edge;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Mesh.Gateway.Access;

/// <summary>The gateway is ready when its sidecar answers: without it no call and no event gets out. Other services may be down; feeds degrade.</summary>
internal sealed class SidecarCheck(IMeshServices services) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await services.IsSidecarHealthyAsync(cancellationToken)
            ? HealthCheckResult.Healthy()
            : HealthCheckResult.Unhealthy("the sidecar does not answer");
}
