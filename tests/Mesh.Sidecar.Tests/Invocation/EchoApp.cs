using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Sidecar.Tests.Invocation;

/// <summary>An app that says what it was asked, on any path.</summary>
internal static class EchoApp
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/status/{code:int}", (int code) => Microsoft.AspNetCore.Http.Results.Text("because", statusCode: code));
        app.Map("/{**path}", async context =>
        {
            context.Response.Headers["X-Path"] = context.Request.Path + context.Request.QueryString;
            context.Response.Headers["X-Raw-Target"] = context.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpRequestFeature>()!.RawTarget;
            context.Response.Headers["X-Verb"] = context.Request.Method;
            foreach ((string name, var value) in context.Request.Headers) context.Response.Headers["Seen-" + name] = value;
            context.Response.ContentType = context.Request.ContentType ?? "text/plain";
            await context.Request.Body.CopyToAsync(context.Response.Body);
        });
    }

    public static string Header(this HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out IEnumerable<string>? values) ? string.Join(",", values) : "";
}
