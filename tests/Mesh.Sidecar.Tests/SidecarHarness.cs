using Dapr.Client;
using Mesh.Sidecar.Runtime;
using Mesh.Testing;
using Microsoft.AspNetCore.Builder;

namespace Mesh.Sidecar.Tests;

/// <summary>
/// A sidecar for a test, its component files, and the app behind it. By default our own sidecar runs in this process. With
/// <c>FEEDMESH_DAPRD=/path/to/daprd</c> the same tests run against that executable: what they assert comes from Dapr's
/// public documentation. Tests of what only ours has (its types, clock, internals) carry <see cref="OwnSidecarFactAttribute"/>.
/// </summary>
public sealed class SidecarHarness : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly SharedRuntime _shared = new();
    private readonly List<IAsyncDisposable> _parts = [];

    private SidecarHarness()
    {
    }

    /// <summary>Path of a real daprd, or null.</summary>
    public static string? Daprd => Environment.GetEnvironmentVariable("FEEDMESH_DAPRD") is { Length: > 0 } path ? path : null;

    /// <summary>A state store named <c>statestore</c> in memory, that actors may use.</summary>
    public static Dictionary<string, string> InMemoryState { get; } = Component("statestore", "state.in-memory", ("actorStateStore", "true"));

    /// <summary>A state store named <c>statestore</c> in a SQLite file, that actors may use.</summary>
    public static Dictionary<string, string> SqliteState { get; } =
        Component("statestore", "state.sqlite", ("connectionString", "state.db"), ("actorStateStore", "true"));

    /// <summary>Where the resource files are and the data goes.</summary>
    public string Folder => _folder.Path;

    /// <summary>The sidecar that <see cref="StartAsync"/> started.</summary>
    public RunningSidecar Main { get; private set; } = null!;

    /// <summary>The app behind <see cref="Main"/>; null where there is none.</summary>
    public TestApp? App { get; private set; }

    public HttpClient Http => Main.Http;

    public DaprClient Dapr => Main.Dapr;

    /// <param name="resources">File name to YAML text; several can be joined with <see cref="Join"/>.</param>
    /// <param name="app">Routes of the app behind the sidecar; null = a sidecar without an app.</param>
    /// <param name="services">Services of that app.</param>
    /// <param name="configure">Options of our own sidecar; has no meaning for a real daprd.</param>
    /// <param name="flags">daprd flags for a real daprd, where the test needs some.</param>
    public static async Task<SidecarHarness> StartAsync(
        IReadOnlyDictionary<string, string>? resources = null, Action<WebApplication>? app = null, Action<WebApplicationBuilder>? services = null,
        string appId = "testapp", Func<SidecarOptions, SidecarOptions>? configure = null, TimeProvider? clock = null, IEnumerable<string>? flags = null)
    {
        var harness = new SidecarHarness();
        try
        {
            foreach ((string name, string text) in resources ?? new Dictionary<string, string>()) harness._folder.Write(name, text);
            (harness.Main, harness.App) = await harness.AddAsync(appId, app, services, configure, clock, flags);
            return harness;
        }
        catch
        {
            await harness.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts another app and its sidecar over the same resources and in the same process as the first.</summary>
    public async Task<(RunningSidecar Sidecar, TestApp? App)> AddAsync(
        string appId, Action<WebApplication>? app = null, Action<WebApplicationBuilder>? services = null,
        Func<SidecarOptions, SidecarOptions>? configure = null, TimeProvider? clock = null, IEnumerable<string>? flags = null)
    {
        TestApp? running = app is null ? null : await TestApp.StartAsync(app, services);
        if (running is not null) _parts.Add(running);
        RunningSidecar sidecar = Daprd is { } executable
            ? await SidecarProcess.StartAsync(executable, appId, Folder, running?.Port, flags)
            : await EmbeddedSidecar.StartAsync(appId, Folder, running?.Port, _shared, clock, configure: configure);
        _parts.Add(sidecar);
        return (sidecar, running);
    }

    /// <summary>One component as a resource file.</summary>
    public static Dictionary<string, string> Component(string name, string type, params (string Name, string Value)[] metadata) =>
        new() { [name + ".yaml"] = ComponentYaml(name, type, metadata) };

    public static string ComponentYaml(string name, string type, params (string Name, string Value)[] metadata)
    {
        string items = string.Concat(metadata.Select(item => $"\n  - name: {item.Name}\n    value: \"{item.Value}\""));
        return $"""
            apiVersion: dapr.io/v1alpha1
            kind: Component
            metadata:
              name: {name}
            spec:
              type: {type}
              version: v1
              metadata:{(metadata.Length == 0 ? " []" : items)}

            """;
    }

    public static Dictionary<string, string> Join(params IReadOnlyDictionary<string, string>[] resources) =>
        resources.SelectMany(files => files).ToDictionary(file => file.Key, file => file.Value);

    public async ValueTask DisposeAsync()
    {
        // Sidecars before their apps, the newest first.
        foreach (IAsyncDisposable part in _parts.AsEnumerable().Reverse()) await part.DisposeAsync();
        await _shared.DisposeAsync();
        _folder.Dispose();
    }
}

/// <summary>A test of what only our own sidecar has; skipped, with the reason, against a real daprd.</summary>
public sealed class OwnSidecarFactAttribute : FactAttribute
{
    public OwnSidecarFactAttribute()
    {
        if (SidecarHarness.Daprd is not null) Skip = "FEEDMESH_DAPRD points at a real daprd; this test is about the embedded sidecar.";
    }
}
