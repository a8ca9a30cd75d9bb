using System.Net;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Configuration;

namespace Mesh.Ranker.Tests;

/// <summary>The ranker as a process would run it, over an in-memory server.</summary>
internal sealed class RankerApp(Dictionary<string, string?>? settings = null) : WebApplicationFactory<RankerOptions>
{
    public ReloadableSettings Settings { get; } = new(settings ?? []);

    public async Task<ScoreResponse> ScoreAsync(ScoreRequest request)
    {
        using HttpResponseMessage response = await PostAsync(request);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return ScoreResponse.Parser.ParseFrom(await response.Content.ReadAsByteArrayAsync());
    }

    public async Task<HttpResponseMessage> PostAsync(ScoreRequest request, int? budgetMs = null)
    {
        using HttpClient client = CreateClient();
        using var message = new HttpRequestMessage(HttpMethod.Post, "score") { Content = new ByteArrayContent(request.ToByteArray()) };
        message.Content.Headers.ContentType = new(ProtobufBody.ContentType);
        if (budgetMs is { } budget) message.Headers.Add(Deadline.Header, budget.ToString(System.Globalization.CultureInfo.InvariantCulture));
        return await client.SendAsync(message);
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder) =>
        builder.ConfigureAppConfiguration(configuration => configuration.Add(Settings));
}

/// <summary>Settings that a test changes while the service runs, as an edited file does.</summary>
internal sealed class ReloadableSettings(Dictionary<string, string?> settings) : ConfigurationProvider, IConfigurationSource
{
    public IConfigurationProvider Build(IConfigurationBuilder builder)
    {
        foreach ((string key, string? value) in settings) Set(key, value);
        return this;
    }

    public void Change(string key, string? value)
    {
        Set(key, value);
        OnReload();
    }
}
