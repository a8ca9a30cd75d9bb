using System.Globalization;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Access;

/// <summary>
/// One token bucket per client, for everything under /v1. A client is its API key where keys are on, else its address.
/// Buckets that are full again are given up by the limiter, so clients that left cost nothing.
/// </summary>
internal sealed class RateLimits(IOptions<GatewayOptions> gateway) : IConfigureOptions<RateLimiterOptions>
{
    public void Configure(RateLimiterOptions options)
    {
        options.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
        options.GlobalLimiter = PartitionedRateLimiter.Create<HttpContext, string>(Partition);
        options.OnRejected = RejectAsync;
    }

    private RateLimitPartition<string> Partition(HttpContext context)
    {
        GatewayOptions options = gateway.Value;
        if (options.RateLimitPerSecond == 0 || !context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase))
            return RateLimitPartition.GetNoLimiter("");
        return RateLimitPartition.GetTokenBucketLimiter(Client(context, options), _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = options.RateLimitBurst, TokensPerPeriod = options.RateLimitPerSecond, ReplenishmentPeriod = TimeSpan.FromSeconds(1), QueueLimit = 0,
        });
    }

    private static string Client(HttpContext context, GatewayOptions options) =>
        options.ApiKeys.Count > 0
            ? context.Request.Headers[ApiKeys.Header].ToString()
            : context.Connection.RemoteIpAddress?.ToString() ?? "unknown";

    private async ValueTask RejectAsync(OnRejectedContext rejected, CancellationToken cancellation)
    {
        HttpContext context = rejected.HttpContext;
        TimeSpan wait = rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan retryAfter)
            ? retryAfter
            : TimeSpan.FromSeconds(1);
        int seconds = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds));
        context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        var problem = new ProblemDetails
        {
            Status = StatusCodes.Status429TooManyRequests,
            Detail = $"More than {gateway.Value.RateLimitPerSecond} requests a second (burst {gateway.Value.RateLimitBurst}). Try again in {seconds} s.",
        };
        await context.RequestServices.GetRequiredService<IProblemDetailsService>().WriteAsync(
            new ProblemDetailsContext { HttpContext = context, ProblemDetails = problem });
    }
}
