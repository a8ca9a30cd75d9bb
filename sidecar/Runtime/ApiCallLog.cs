namespace Mesh.Sidecar.Runtime;

/// <summary>One line per call of the API, health checks apart, where <c>--enable-api-logging</c> asks for it.</summary>
internal sealed class ApiCallLog(RequestDelegate next, ILoggerFactory loggers, TimeProvider clock)
{
    private readonly ILogger _logger = loggers.CreateLogger("Mesh.Sidecar.Calls");

    public async Task InvokeAsync(HttpContext context)
    {
        long started = clock.GetTimestamp();
        await next(context);
        if (context.Request.Path.StartsWithSegments("/v1.0/healthz", StringComparison.Ordinal)) return;

        Log.Called(
            _logger, context.Request.Method, context.Request.Path, context.Response.StatusCode, (long)clock.GetElapsedTime(started).TotalMilliseconds);
    }
}
