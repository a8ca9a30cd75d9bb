using Mesh.Sidecar.Components;
using Mesh.Sidecar.PubSub.Routing;
using Mesh.Sidecar.Resiliency;
using Mesh.Testing;

namespace Mesh.Sidecar.Tests.PubSub;

public sealed class ResiliencyTests : IDisposable
{
    private const string Document = """
        apiVersion: dapr.io/v1alpha1
        kind: Resiliency
        metadata:
          name: r
        spec:
          policies:
            timeouts:
              general: 5s
              DefaultTimeoutPolicy: 1m30s
            retries:
              pubsubRetry: {policy: constant, duration: 5s, maxRetries: 10}
              forever: {policy: exponential, maxInterval: 15s, maxRetries: -1}
              defaults: {}
              some: {maxRetries: 2, matching: {httpStatusCodes: "429,500-503"}}
              DefaultRetryPolicy: {duration: 1s, maxRetries: 1}
              DefaultComponentInboundRetryPolicy: {duration: 2s, maxRetries: 2}
              DefaultPubsubComponentOutboundRetryPolicy: {duration: 3s, maxRetries: 3}
            circuitBreakers:
              cb: {maxRequests: 1, interval: 8s, timeout: 45s, trip: consecutiveFailures > 1}
          targets:
            apps:
              appB: {timeout: general, retry: forever, circuitBreaker: cb}
              patient: {timeout: general}
            components:
              pubsub:
                inbound: {retry: pubsubRetry}
              plain:
                inbound: {retry: defaults}
              picky:
                inbound: {retry: some}
        """;

    private readonly TempFolder _folder = new();
    private readonly ManualClock _clock = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Named_policies_of_a_target_count_and_nothing_else_does()
    {
        ResiliencyConfiguration policies = await LoadAsync(Document);

        ResiliencyPolicy inbound = policies.ComponentInbound("pubsub", ComponentKind.PubSub);
        ResiliencyPolicy outbound = policies.ComponentOutbound("pubsub", ComponentKind.PubSub);

        Assert.Equal(new RetryPolicy(false, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(60), 10), inbound.Retry);
        Assert.Null(inbound.AttemptTimeout);
        Assert.Null(outbound.Retry);
    }

    [Fact]
    public async Task Without_a_target_the_most_specific_default_counts()
    {
        ResiliencyConfiguration policies = await LoadAsync(Document);

        Assert.Equal(2, policies.ComponentInbound("other", ComponentKind.PubSub).Retry!.RetriesMax);
        Assert.Equal(3, policies.ComponentOutbound("other", ComponentKind.PubSub).Retry!.RetriesMax);
        Assert.Equal(1, policies.ComponentOutbound("other", ComponentKind.Statestore).Retry!.RetriesMax);
        Assert.Equal(1, policies.App("appA").Retry!.RetriesMax);
        Assert.Equal(TimeSpan.FromSeconds(90), policies.Actor("a").AttemptTimeout);
        Assert.Equal(new RetryPolicy(true, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(15), -1), policies.App("appB").Retry);
    }

    [Fact]
    public async Task A_retry_policy_that_says_nothing_is_constant_five_seconds_without_end()
    {
        ResiliencyConfiguration policies = await LoadAsync(Document);

        Assert.Equal(new RetryPolicy(false, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(60), -1), policies.ComponentInbound("plain", ComponentKind.PubSub).Retry);
    }

    [Theory]
    [InlineData("timeouts: {x: soon}", "soon")]
    [InlineData("retries: {x: {policy: random}}", "random")]
    [InlineData("retries: {x: {maxRetries: many}}", "many")]
    [InlineData("circuitBreakers: {x: {trip: 'failures >'}}", "failures >")]
    public async Task A_policy_that_cannot_be_read_is_an_error_that_names_it(string policy, string named)
    {
        string document = $"kind: Resiliency\nmetadata: {{name: r}}\nspec:\n  policies:\n    {policy}\n";

        var error = await Assert.ThrowsAsync<ComponentException>(() => LoadAsync(document));

        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        Assert.Contains("resiliency.yaml", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_target_that_names_a_policy_nobody_defined_is_an_error()
    {
        const string Broken = "kind: Resiliency\nmetadata: {name: r}\nspec:\n  targets:\n    apps: {a: {retry: ghost}}\n";

        var error = await Assert.ThrowsAsync<ComponentException>(() => LoadAsync(Broken));

        Assert.Contains("ghost", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Retries_pause_as_long_as_the_policy_says_and_end_with_the_last_failure()
    {
        ResiliencyPolicy policy = (await LoadAsync(Document)).ComponentInbound("pubsub", ComponentKind.PubSub);
        var tries = new List<DateTimeOffset>();
        Task<int> running = policy.ExecuteAsync<int>(
            _ =>
            {
                tries.Add(_clock.GetUtcNow());
                throw new InvalidDataException($"{tries.Count}");
            },
            exception => exception is InvalidDataException, CancellationToken.None);

        for (int i = 0; i < 10; i++)
        {
            await _clock.WhenWaitedOnAsync();
            _clock.Advance(TimeSpan.FromSeconds(5));
        }

        var error = await Assert.ThrowsAsync<InvalidDataException>(() => running);
        Assert.Equal("11", error.Message);
        Assert.All(tries.Zip(tries.Skip(1)), pair => Assert.Equal(TimeSpan.FromSeconds(5), pair.Second - pair.First));
    }

    [Fact]
    public async Task Only_statuses_that_match_are_retried()
    {
        ResiliencyPolicy policy = (await LoadAsync(Document)).ComponentInbound("picky", ComponentKind.PubSub);
        int tries = 0;

        await Assert.ThrowsAsync<StatusFailure>(() => policy.ExecuteAsync<int>(
            _ =>
            {
                tries++;
                throw new StatusFailure(400);
            },
            _ => true, CancellationToken.None));

        Assert.Equal(1, tries);
    }

    [Fact]
    public async Task A_try_that_takes_longer_than_the_timeout_fails_with_the_limit_in_its_message()
    {
        ResiliencyPolicy policy = (await LoadAsync(Document)).App("patient");
        Task<int> running = policy.ExecuteAsync(
            async token =>
            {
                await Task.Delay(Timeout.Infinite, token);
                return 1;
            },
            _ => false, CancellationToken.None);

        _clock.Advance(TimeSpan.FromSeconds(6));

        var error = await Assert.ThrowsAsync<TimeoutException>(() => running);
        Assert.Contains("5000 ms", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_breaker_opens_on_its_expression_lets_one_through_later_and_closes_when_that_succeeds()
    {
        var breaker = new CircuitBreaker("b", new CircuitBreakerPolicy(1, TimeSpan.Zero, TimeSpan.FromSeconds(45), CelExpression.Parse("consecutiveFailures > 1")), _clock);
        Fail(breaker);
        Fail(breaker);

        Assert.Throws<CircuitOpenException>(() => breaker.Enter());
        _clock.Advance(TimeSpan.FromSeconds(46));
        using (CircuitBreaker.Passage probe = breaker.Enter())
        {
            Assert.Throws<CircuitOpenException>(() => breaker.Enter());
            probe.Succeeded();
        }

        Fail(breaker);
        breaker.Enter().Dispose();
    }

    [Fact]
    public void A_breaker_that_fails_half_open_opens_again()
    {
        var breaker = new CircuitBreaker("b", new CircuitBreakerPolicy(1, TimeSpan.Zero, TimeSpan.FromSeconds(45), CircuitBreakerPolicy.DefaultTrip), _clock);
        for (int i = 0; i < 6; i++) Fail(breaker);
        _clock.Advance(TimeSpan.FromSeconds(46));
        Fail(breaker);

        Assert.Throws<CircuitOpenException>(() => breaker.Enter());
    }

    private static void Fail(CircuitBreaker breaker)
    {
        using CircuitBreaker.Passage passage = breaker.Enter();
    }

    private async Task<ResiliencyConfiguration> LoadAsync(string yaml)
    {
        _folder.Write("resiliency.yaml", yaml);
        ResourceFiles files = await ResourceFiles.LoadAsync([_folder.Path], CancellationToken.None);
        return new ResiliencyConfiguration(files.OfKind("Resiliency"), _clock);
    }

    private sealed class StatusFailure(int status) : Exception, IStatusFailure
    {
        public int Status => status;
    }
}
