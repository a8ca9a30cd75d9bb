using System.Globalization;
using Mesh.Contracts;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Mesh.Host.Topology;

/// <summary>
/// A template with retrieval as several apps, each with a shard of the index: <c>retrieval-0</c> and on, index-updater told how many they are,
/// and the gateway who they are. docs/shards.md says the same for a topology written by hand.
/// </summary>
internal static class ShardedTemplate
{
    public static string AppId(int shard) => string.Create(CultureInfo.InvariantCulture, $"{AppIds.Retrieval}-{shard}");

    /// <summary>The apps. The first keeps retrieval's ports, the others have those after the template's last.</summary>
    /// <exception cref="TemplateException">The template lacks an app that takes part, or has one that would be there twice.</exception>
    public static RunTemplate Of(RunTemplate template, int shards)
    {
        string[] faults =
        [
            .. new[] { AppIds.Retrieval, AppIds.IndexUpdater, AppIds.Gateway }.Where(id => template.Apps.All(app => app.AppId != id))
                .Select(id => $"--shards {shards} needs an app {id}."),
            .. template.Apps.Where(app => Enumerable.Range(0, shards).Any(shard => AppId(shard) == app.AppId))
                .Select(app => $"--shards {shards} makes an app {app.AppId}, and there is one already."),
        ];
        if (faults.Length > 0) throw new TemplateException(template.FilePath, faults);

        int? After(int? own, Func<AppTemplate, int?> port, int shard) => own is null || shard == 0 ? own : template.Apps.Max(port) + shard;
        return template with { Apps = [.. template.Apps.SelectMany(Expand)] };

        IEnumerable<AppTemplate> Expand(AppTemplate app) => app.AppId switch
        {
            AppIds.Retrieval => Enumerable.Range(0, shards).Select(shard => With(app, [("Retrieval__Shard", Text(shard))]) with
            {
                AppId = AppId(shard),
                AppPort = After(app.AppPort, static other => other.AppPort, shard),
                DaprHttpPort = After(app.DaprHttpPort, static other => other.DaprHttpPort, shard),
                DaprGrpcPort = After(app.DaprGrpcPort, static other => other.DaprGrpcPort, shard),
            }),
            AppIds.IndexUpdater => [With(app, [("IndexUpdater__Shards", Text(shards))])],
            AppIds.Gateway => [With(app, [.. Enumerable.Range(0, shards).Select(shard => ($"Gateway__Retrieval__{Text(shard)}", AppId(shard)))])],
            _ => [app],
        };
    }

    /// <summary>
    /// The template with copies of its resources in a folder, in which every scope that names retrieval names the apps instead: a component is seen
    /// by those alone that its scopes name.
    /// </summary>
    /// <exception cref="TemplateException">A resource file is no YAML.</exception>
    public static RunTemplate WithResources(RunTemplate template, int shards, string folder)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        var copies = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string path in template.Apps.SelectMany(app => app.ResourcesPaths).Distinct())
        {
            copies[path] = Directory.CreateDirectory(Path.Combine(folder, Text(copies.Count))).FullName;
            foreach (string file in Directory.EnumerateFiles(path)) Copy(file, Path.Combine(copies[path], Path.GetFileName(file)), shards, template.FilePath);
        }

        return template with { Apps = [.. template.Apps.Select(app => app with { ResourcesPaths = [.. app.ResourcesPaths.Select(path => copies[path])] })] };
    }

    private static void Copy(string file, string to, int shards, string templatePath)
    {
        if (Path.GetExtension(file).ToLowerInvariant() is not (".yaml" or ".yml"))
        {
            File.Copy(file, to);
            return;
        }

        var yaml = new YamlStream();
        try
        {
            using StreamReader text = File.OpenText(file);
            yaml.Load(text);
        }
        catch (YamlException exception)
        {
            throw new TemplateException(templatePath, [$"{file}, line {exception.Start.Line}: not valid YAML: {exception.Message}"]);
        }

        foreach (YamlSequenceNode scopes in yaml.Documents.Select(ScopesOf).OfType<YamlSequenceNode>())
        {
            foreach (YamlNode scope in scopes.Where(scope => scope is YamlScalarNode { Value: AppIds.Retrieval }).ToArray())
            {
                scopes.Children.Remove(scope);
                foreach (int shard in Enumerable.Range(0, shards)) scopes.Add(AppId(shard));
            }
        }

        using StreamWriter writer = File.CreateText(to);
        yaml.Save(writer, assignAnchors: false);
    }

    private static YamlNode? ScopesOf(YamlDocument document) =>
        document.RootNode is YamlMappingNode root && root.Children.TryGetValue("scopes", out YamlNode? scopes) ? scopes : null;

    private static AppTemplate With(AppTemplate app, IEnumerable<(string Name, string Value)> variables)
    {
        var environment = new Dictionary<string, string>(app.Environment, StringComparer.Ordinal);
        foreach ((string name, string value) in variables) environment[name] = value;
        return app with { Environment = environment };
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
