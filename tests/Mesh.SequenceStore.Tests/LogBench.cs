using System.Diagnostics.Metrics;
using Mesh.SequenceStore.Sequences;
using Mesh.SequenceStore.Training;
using Mesh.SequenceStore.Writing;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.SequenceStore.Tests;

/// <summary>One set of writers and a reader over one in-memory store.</summary>
internal sealed class LogBench
{
    public LogBench(int chunkEvents = 4, int eventsMax = 1_000_000, int retentionDays = 0, int recentIdsMax = 8, int engagedMax = 16_384, InMemoryUserState? state = null)
    {
        State = state ?? new InMemoryUserState();
        Clock.SetUtcNow(DateTimeOffset.FromUnixTimeMilliseconds(Engagements.EpochMs));
        Metrics = new SequenceMetrics(new TestMeters());
        Log = new UserLog(State, new LogShape(chunkEvents, eventsMax, retentionDays, engagedMax, recentIdsMax), Clock, Metrics);
        Users = new UserDirectory(State, usersMax: 3);
        Requests = new RequestLog(State, new DirectWriter(Users), pagesMax: 2);
        Erasure = new Erasure(State, Requests, Clock);
        Profile = new UserProfile(State);
        Served = new ServedRing(State, servedMax: 10);
        Reader = new SequenceReader(State);
        Export = new TrainingExport(State, Users, Requests, Reader);
    }

    public InMemoryUserState State { get; }

    public FakeTimeProvider Clock { get; } = new();

    public SequenceMetrics Metrics { get; }

    public UserLog Log { get; }

    public UserDirectory Users { get; }

    public RequestLog Requests { get; }

    public Erasure Erasure { get; }

    public UserProfile Profile { get; }

    public ServedRing Served { get; }

    public SequenceReader Reader { get; }

    public TrainingExport Export { get; }

    private sealed class DirectWriter(UserDirectory users) : IDirectoryWriter
    {
        public Task AddAsync(string user, CancellationToken cancellation) => users.AddAsync(user, cancellation);

        public Task RemoveAsync(string user, CancellationToken cancellation) => users.RemoveAsync(user, cancellation);
    }

    private sealed class TestMeters : IMeterFactory
    {
        public Meter Create(MeterOptions options) => new(options);

        public void Dispose()
        {
        }
    }
}
