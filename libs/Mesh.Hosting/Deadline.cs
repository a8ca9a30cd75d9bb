using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace Mesh.Hosting;

/// <summary>
/// The budget of a request: the gateway sets it, each hop sends on what is left in <c>mesh-budget-ms</c>, and the service
/// that receives it has its <see cref="HttpContext.RequestAborted"/> fire when it is spent.
/// </summary>
public sealed class Deadline(RequestDelegate next, TimeProvider clock)
{
    public const string Header = "mesh-budget-ms";

    public async Task InvokeAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (!int.TryParse(context.Request.Headers[Header], NumberStyles.None, CultureInfo.InvariantCulture, out int budgetMs))
        {
            await next(context);
            return;
        }

        using var budget = new CancellationTokenSource(TimeSpan.FromMilliseconds(budgetMs), clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, budget.Token);
        context.RequestAborted = linked.Token;
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (budget.IsCancellationRequested && !context.Response.HasStarted)
        {
            context.Response.StatusCode = StatusCodes.Status504GatewayTimeout;
        }
    }
}
