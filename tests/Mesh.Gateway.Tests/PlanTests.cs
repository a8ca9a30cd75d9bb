using Mesh.Gateway.Pipeline.Plan;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>pipeline.yaml: the shipped one is right, and a wrong one is refused with every fault at once.</summary>
public sealed class PlanTests
{
    [Fact]
    public void The_shipped_pipeline_has_the_documented_order()
    {
        using var bench = new Bench(Bench.ShippedYaml());

        Assert.Equal(
            [
                "user-context", "ranker-context", "retrieval", "in-network", "duplicate", "core-data", "age", "own", "muted-authors", "blocked-authors", "not-interested", "seen", "served",
                "eligibility", "muted-words", "trending-refill", "remembered-trending", "ranker", "fallback-order", "author-diversity", "out-of-network", "top", "impressions",
                "request-log",
            ],
            bench.Plan.StageNames);
        Assert.Equal(TimeSpan.FromMilliseconds(700), bench.Plan.Sources[0].Definition.Timeout);
    }

    [Fact]
    public void Every_fault_of_a_file_is_listed()
    {
        const string Yaml = """
            colours: []
            sources:
              - { name: retrieval, timeout_ms: soon, params: { trending: 9999, sideways: 1 } }
              - { name: nowhere, timeout_ms: 100 }
              - { timeout_ms: 100 }
            hydrators:
              - { name: in-network, timeout_ms: 50, invoke: { app_id: a, method: m } }
            filters:
              - { name: duplicate }
              - { name: own, timeout_ms: 100, parallel: true, on_failure: shrug, speed: 7 }
              - { name: own, timeout_ms: 100 }
              - { name: remote, timeout_ms: 100, invoke: { app_id: a } }
              - seen
            scorers: 5
            """;

        PipelineFileException failure = Assert.Throws<PipelineFileException>(
            () => Bench.BuildPlan(Yaml, new FakeServices(), new FakeTopics(), TimeProvider.System));

        string[] fragments =
        [
            "line 1: 'colours' is not a section", "timeout_ms is 'soon'", "param trending is '9999'; a whole number from 0 to 2000", "has no param 'sideways'",
            "sources/nowhere: no such stage; the gateway has retrieval", "a stage of sources has no name", "a stage of hydrators cannot be another app",
            "filters/duplicate has no timeout_ms", "filters run one after the other", "on_failure is 'shrug'", "'speed' is not a field of a stage", "line 11: stage 'own' is listed twice",
            "invoke needs app_id and method", "must be a mapping with at least a name", "scorers must be a list of stages", "selector holds 0 stages",
        ];
        Assert.All(fragments, fragment => Assert.Contains(failure.Faults, fault => fault.Contains(fragment)));
        Assert.Contains(failure.Faults[0], failure.Message);
    }

    [Theory]
    [InlineData("", "does not hold one YAML mapping")]
    [InlineData("- a\n- b", "does not hold one YAML mapping")]
    [InlineData("sources: [", "line")]
    [InlineData("a: 1\na: 2", "line")]
    public void Text_that_is_no_pipeline_is_refused(string yaml, string fragment)
    {
        PipelineFileException failure = Assert.Throws<PipelineFileException>(
            () => Bench.BuildPlan(yaml, new FakeServices(), new FakeTopics(), TimeProvider.System));

        Assert.Contains(failure.Faults, fault => fault.Contains(fragment));
    }

    [Fact]
    public void A_remote_stage_cannot_take_the_name_of_a_stage_of_the_gateway()
    {
        const string Yaml = """
            sources: [ { name: retrieval, timeout_ms: 100 } ]
            filters: [ { name: seen, timeout_ms: 100, invoke: { app_id: py, method: seen } } ]
            selector: [ { name: top, timeout_ms: 50 } ]
            """;

        PipelineFileException failure = Assert.Throws<PipelineFileException>(
            () => Bench.BuildPlan(Yaml, new FakeServices(), new FakeTopics(), TimeProvider.System));

        Assert.Contains("needs its own", Assert.Single(failure.Faults));
    }

    [Fact]
    public async Task A_gateway_with_a_missing_pipeline_file_does_not_start()
    {
        Exception failure = await Record.ExceptionAsync(async () =>
        {
            await using var app = new GatewayApp(("Gateway:PipelineFile", "no-such-file.yaml"));
            await app.GetAsync("/healthz");
        });

        Assert.Contains("no-such-file.yaml", Assert.IsType<PipelineFileException>(failure).Message);
    }
}
