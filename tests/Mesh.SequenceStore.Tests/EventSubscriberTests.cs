using System.Diagnostics.Metrics;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.Hosting;
using Mesh.SequenceStore.Sequences;
using Mesh.SequenceStore.Writing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Mesh.SequenceStore.Tests;

public sealed class EventSubscriberTests : IDisposable
{
    // A sidecar takes 4 MiB per call, and the argument travels as base64.
    private const int ArgumentBytesMax = 4 * 1024 * 1024 * 3 / 4;

    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly RecordingWriter _writer = new();

    public void Dispose() => _services.Dispose();

    [Fact]
    public async Task What_one_user_was_served_goes_to_the_actor_in_calls_that_a_sidecar_takes()
    {
        var pages = Enumerable.Range(0, Limits.BatchMax).Select(Page).ToList();

        IReadOnlyList<Delivery> deliveries = await Subscriber().ImpressionsAsync(pages, default);

        Assert.All(deliveries, delivery => Assert.Equal(Delivery.Success, delivery));
        Assert.All(_writer.Calls, call => Assert.InRange(new ImpressionsBatch { Pages = { call } }.CalculateSize(), 1, ArgumentBytesMax));
        Assert.Equal(pages.Select(page => page.EventId), _writer.Calls.SelectMany(call => call).Select(page => page.EventId));
    }

    [Fact]
    public async Task Pages_in_a_call_that_failed_come_again_and_the_others_do_not()
    {
        var pages = Enumerable.Range(0, 200).Select(Page).ToList();
        _writer.FailCall = 2;

        IReadOnlyList<Delivery> deliveries = await Subscriber().ImpressionsAsync(pages, default);

        Assert.Equal(pages.Count - _writer.Calls[1].Count, deliveries.Count(delivery => delivery == Delivery.Success));
        Assert.Equal(_writer.Calls[1].Select(page => page.EventId), pages.Where((_, i) => deliveries[i] == Delivery.Retry).Select(page => page.EventId));
    }

    private EventSubscriber Subscriber() => new(
        _writer, Options.Create(new SequenceOptions()), new SequenceMetrics(_services.GetRequiredService<IMeterFactory>()), NullLogger<EventSubscriber>.Instance);

    private static Impressions Page(int number) => new()
    {
        EventId = Ulid.NewUlid().ToString(),
        UserId = "reader",
        TimeMs = 1_800_000_000_000 + number,
        ItemIds = { Enumerable.Range(0, Limits.FeedLimitMax).Select(i => $"{number}-{i}-".PadRight(Limits.IdLengthMax, 'x')) },
    };

    private sealed class RecordingWriter : IUserWriter
    {
        public List<IReadOnlyList<Impressions>> Calls { get; } = [];

        /// <summary>Number of the call that fails, from 1; 0 = none.</summary>
        public int FailCall { get; set; }

        public Task MarkServedAsync(string user, IReadOnlyList<Impressions> pages, CancellationToken cancellation)
        {
            Calls.Add(pages);
            return Calls.Count == FailCall ? throw new IOException("The actor is away.") : Task.CompletedTask;
        }

        public Task AppendAsync(string user, IReadOnlyList<Engagement> events, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<ProfileOutcome> ChangeProfileAsync(string user, ProfileChange change, CancellationToken cancellation) => throw new NotSupportedException();

        public Task LogRequestAsync(RequestLogEntry entry, CancellationToken cancellation) => throw new NotSupportedException();

        public Task EraseAsync(string user, CancellationToken cancellation) => throw new NotSupportedException();
    }
}
