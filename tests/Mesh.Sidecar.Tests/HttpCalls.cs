using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Mesh.Sidecar.Tests;

/// <summary>What a sidecar answered over HTTP, body read.</summary>
public sealed record Answer(HttpStatusCode Status, string Body, HttpResponseHeaders Headers, MediaTypeHeaderValue? ContentType)
{
    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    /// <summary>Dapr's error code; empty where the body is no error.</summary>
    public string ErrorCode => Body.Length > 0 && Json.TryGetProperty("errorCode", out JsonElement code) ? code.GetString()! : "";

    public string Message => Json.GetProperty("message").GetString()!;

    public string? Header(string name) => Headers.TryGetValues(name, out IEnumerable<string>? values) ? string.Join(',', values) : null;
}

/// <summary>Short calls of a sidecar's HTTP face.</summary>
public static class HttpCalls
{
    public static async Task<Answer> Call(
        this HttpClient http, HttpMethod method, string path, string? body = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        foreach ((string name, string value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        using HttpResponseMessage response = await http.SendAsync(request);
        return new Answer(response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers, response.Content.Headers.ContentType);
    }

    public static Task<Answer> Get(this HttpClient http, string path, params (string, string)[] headers) => http.Call(HttpMethod.Get, path, null, headers);

    public static Task<Answer> Post(this HttpClient http, string path, string body, params (string, string)[] headers) =>
        http.Call(HttpMethod.Post, path, body, headers);

    public static Task<Answer> Put(this HttpClient http, string path, string body) => http.Call(HttpMethod.Put, path, body);

    public static Task<Answer> Delete(this HttpClient http, string path, params (string, string)[] headers) =>
        http.Call(HttpMethod.Delete, path, null, headers);
}
