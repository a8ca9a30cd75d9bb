using System.Globalization;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.PubSub.Routing;
using YamlDotNet.RepresentationModel;

namespace Mesh.Sidecar.Resiliency;

/// <summary>Reads one document of kind Resiliency.</summary>
internal sealed class ResiliencyReader(ResourceDocument document)
{
    public void Read(
        Dictionary<string, TimeSpan> timeouts, Dictionary<string, RetryPolicy> retries, Dictionary<string, CircuitBreakerPolicy> breakers,
        Dictionary<string, TargetPolicies> targets)
    {
        YamlMappingNode? policies = Map(document.Spec, "policies");
        foreach ((string name, YamlNode value) in Entries(policies, "timeouts")) timeouts[name] = Duration($"timeouts.{name}", (value as YamlScalarNode)?.Value);
        foreach ((string name, YamlNode value) in Entries(policies, "retries")) retries[name] = ReadRetry($"retries.{name}", value as YamlMappingNode ?? []);
        foreach ((string name, YamlNode value) in Entries(policies, "circuitBreakers")) breakers[name] = ReadBreaker($"circuitBreakers.{name}", value as YamlMappingNode ?? []);

        YamlMappingNode? spec = Map(document.Spec, "targets");
        foreach ((string name, YamlNode value) in Entries(spec, "apps")) targets[$"apps/{name}"] = ReadTarget(value as YamlMappingNode ?? []);
        foreach ((string name, YamlNode value) in Entries(spec, "actors")) targets[$"actors/{name}"] = ReadTarget(value as YamlMappingNode ?? []);
        foreach ((string name, YamlNode value) in Entries(spec, "components"))
        {
            // A component that is listed gets no default policies, not even for the direction that is not.
            foreach (string direction in (string[])["inbound", "outbound"])
            {
                targets[$"components/{name}/{direction}"] = ReadTarget(Map(value as YamlMappingNode, direction) ?? []);
            }
        }
    }

    private TargetPolicies ReadTarget(YamlMappingNode node) => new(Text(node, "timeout"), Text(node, "retry"), Text(node, "circuitBreaker"), document.Source);

    private RetryPolicy ReadRetry(string at, YamlMappingNode node)
    {
        string policy = Text(node, "policy") ?? "constant";
        if (policy is not ("constant" or "exponential")) throw Fault(at, $"policy '{policy}' must be constant or exponential");
        return new RetryPolicy(
            policy == "exponential",
            Text(node, "duration") is { } duration ? Duration($"{at}.duration", duration) : TimeSpan.FromSeconds(5),
            Text(node, "maxInterval") is { } interval ? Duration($"{at}.maxInterval", interval) : TimeSpan.FromSeconds(60),
            Number($"{at}.maxRetries", Text(node, "maxRetries"), -1),
            Statuses(at, Text(Map(node, "matching"), "httpStatusCodes")));
    }

    private CircuitBreakerPolicy ReadBreaker(string at, YamlMappingNode node)
    {
        CelExpression trip;
        try
        {
            trip = Text(node, "trip") is { } expression ? CelExpression.Parse(expression) : CircuitBreakerPolicy.DefaultTrip;
        }
        catch (CelException exception)
        {
            throw Fault($"{at}.trip", exception.Message);
        }

        return new CircuitBreakerPolicy(
            Math.Max(1, Number($"{at}.maxRequests", Text(node, "maxRequests"), 1)),
            Text(node, "interval") is { } interval ? Duration($"{at}.interval", interval) : TimeSpan.Zero,
            Text(node, "timeout") is { } open ? Duration($"{at}.timeout", open) : TimeSpan.FromSeconds(60),
            trip);
    }

    // "429,501-503": single statuses and ranges.
    private List<(int From, int To)>? Statuses(string at, string? text)
    {
        if (text is null) return null;
        var ranges = new List<(int, int)>();
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] ends = part.Split('-', 2);
            int from = Number($"{at}.matching.httpStatusCodes", ends[0], 0);
            ranges.Add((from, ends.Length == 2 ? Number($"{at}.matching.httpStatusCodes", ends[1], 0) : from));
        }

        return ranges;
    }

    private int Number(string at, string? text, int fallback) => text is null ? fallback
        : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) ? number
        : throw Fault(at, $"'{text}' must be a whole number");

    private TimeSpan Duration(string at, string? text) =>
        text is not null && GoDuration.TryParse(text, out TimeSpan duration) && duration >= TimeSpan.Zero ? duration : throw Fault(at, $"'{text}' must be a duration such as 500ms, 5s or 1m30s");

    private ComponentException Fault(string at, string fault) => new($"{document.Source}: Resiliency {document.Name}, spec.policies.{at}: {fault}.");

    private static IEnumerable<(string Name, YamlNode Value)> Entries(YamlMappingNode? node, string key) =>
        Map(node, key)?.Children.Select(pair => (((YamlScalarNode)pair.Key).Value ?? "", pair.Value)) ?? [];

    private static YamlMappingNode? Map(YamlMappingNode? node, string key) => node?.Find(key) as YamlMappingNode;

    private static string? Text(YamlMappingNode? node, string key) => node?.FindText(key) is { Length: > 0 } text ? text : null;
}
