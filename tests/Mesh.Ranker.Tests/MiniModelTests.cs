using System.Globalization;
using Google.Protobuf;
using Mesh.Contracts;
using Microsoft.Extensions.Time.Testing;
using static Mesh.Ranker.Tests.TransformerProtocolTests;

namespace Mesh.Ranker.Tests;

/// <summary>The service over the graphs of models/mini: a candidate's score is its own, bit by bit, whatever else is scored.</summary>
public sealed class MiniModelTests : IDisposable
{
    private const int Many = 1_500;

    private readonly FakeTimeProvider _clock = new(DateTimeOffset.FromUnixTimeMilliseconds(ScoreRequests.NowMs));
    private readonly RankerApp _app;
    private readonly RankerApp _uncached;

    public MiniModelTests()
    {
        // A generous time: what is asserted here is not speed, and other tests share the cores.
        var settings = new Dictionary<string, string?> { ["Ranker:Transformer:TimeoutMs"] = "60000" };
        _app = new RankerApp(settings, fromDisk: true, clock: _clock);
        _uncached = new RankerApp(new(settings) { ["Ranker:Transformer:ScoreCacheSeconds"] = "0" }, fromDisk: true, clock: _clock);
    }

    public void Dispose()
    {
        _app.Dispose();
        _uncached.Dispose();
    }

    [Fact]
    public async Task A_candidate_alone_among_10_among_1500_and_shuffled_has_the_same_bits()
    {
        ScoreRequest request = Request(seed: 1, Many);
        ScoreResponse together = await TransformedAsync(_uncached, request);
        int[] order = [.. Enumerable.Range(0, Many)];
        new Random(3).Shuffle(order);

        ScoreResponse shuffled = await TransformedAsync(_uncached, Only(request, order));
        for (int i = 0; i < Many; i++) AssertSameBits(together.Scores[order[i]], shuffled.Scores[i]);
        foreach (int index in new[] { 0, 1, 63, 64, 700, Many - 1 })
        {
            ScoreResponse alone = await TransformedAsync(_uncached, Only(request, [index]));
            AssertSameBits(together.Scores[index], Assert.Single(alone.Scores));

            int[] ten = [.. Enumerable.Range(0, 9).Select(i => (index + 1 + (i * 37)) % Many).Append(index)];
            ScoreResponse among = await TransformedAsync(_uncached, Only(request, ten));
            for (int i = 0; i < 10; i++) AssertSameBits(together.Scores[ten[i]], among.Scores[i]);
        }
    }

    [Fact]
    public async Task Micro_batches_with_other_users_at_the_same_time_change_no_bit()
    {
        ScoreRequest[] requests = [.. Enumerable.Range(0, 12).Select(i => With(Request(seed: i, 20 + (i * 31)), copy => copy.UserId = $"user-{i}"))];
        var alone = new List<ScoreResponse>();
        foreach (ScoreRequest request in requests) alone.Add(await TransformedAsync(_uncached, request));
        using var meters = new SharedRuns(_uncached);

        for (int round = 0; round < 5; round++)
        {
            ScoreResponse[] together = await Task.WhenAll(requests.Select(request => TransformedAsync(_uncached, request)));

            for (int i = 0; i < requests.Length; i++)
            {
                Assert.Equal(alone[i].Scores.Count, together[i].Scores.Count);
                for (int c = 0; c < alone[i].Scores.Count; c++) AssertSameBits(alone[i].Scores[c], together[i].Scores[c]);
            }
        }

        Assert.True(meters.RequestsMax > 1, "no run was shared: the test has shown nothing");
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(16, 3)]
    [InlineData(64, 32)]
    [InlineData(1_024, 2)]
    public async Task The_size_of_chunks_and_batches_changes_no_bit(int chunkRows, int chunksMax)
    {
        ScoreRequest request = Request(seed: 5, 333);
        ScoreResponse expected = await TransformedAsync(_uncached, request);
        using var other = new RankerApp(
            new()
            {
                ["Ranker:Transformer:TimeoutMs"] = "60000", ["Ranker:Transformer:ScoreCacheSeconds"] = "0",
                ["Ranker:Transformer:ChunkRows"] = chunkRows.ToString(CultureInfo.InvariantCulture),
                ["Ranker:Transformer:ChunksMax"] = chunksMax.ToString(CultureInfo.InvariantCulture),
            },
            fromDisk: true, clock: _clock);

        ScoreResponse actual = await TransformedAsync(other, request);

        for (int c = 0; c < 333; c++) AssertSameBits(expected.Scores[c], actual.Scores[c]);
    }

    [Fact]
    public async Task With_the_cache_on_first_and_second_answer_and_parts_of_it_are_those_without_it()
    {
        ScoreRequest request = Request(seed: 7, 850);
        ScoreResponse without = await TransformedAsync(_uncached, request);

        ScoreResponse part = await TransformedAsync(_app, Only(request, [.. Enumerable.Range(0, 100).Select(i => i * 8)]));
        ScoreResponse first = await TransformedAsync(_app, request), second = await TransformedAsync(_app, request);

        for (int c = 0; c < 100; c++) AssertSameBits(without.Scores[c * 8], part.Scores[c]);
        for (int c = 0; c < 850; c++) AssertSameBits(without.Scores[c], first.Scores[c]);
        for (int c = 0; c < 850; c++) AssertSameBits(without.Scores[c], second.Scores[c]);
    }

    [Fact]
    public async Task A_context_prepared_before_gives_the_bits_of_the_sequence_itself()
    {
        ScoreRequest request = Request(seed: 8, 100);
        PrepareResponse prepared = await _uncached.PrepareAsync(Prepare(request));

        ScoreResponse named = await TransformedAsync(_uncached, Named(request, prepared)), carried = await TransformedAsync(_uncached, request);

        for (int c = 0; c < 100; c++) AssertSameBits(carried.Scores[c], named.Scores[c]);
    }

    [Fact]
    public async Task Sequence_candidate_surface_and_counters_all_move_the_score()
    {
        ScoreRequest request = Request(seed: 9, 1);
        float score = await ScoreOfAsync(request);

        Assert.NotEqual(score, await ScoreOfAsync(With(request, copy => copy.History[0].Codes[0] = (copy.History[0].Codes[0] + 1) % 64)));
        Assert.NotEqual(score, await ScoreOfAsync(With(request, copy => copy.Sequence.Actions = ByteString.CopyFrom([.. copy.Sequence.Actions.Span[..^1], (byte)13]))));
        Assert.NotEqual(score, await ScoreOfAsync(With(request, copy => copy.Candidates[0].Codes[2] = (copy.Candidates[0].Codes[2] + 1) % 64)));
        Assert.NotEqual(score, await ScoreOfAsync(With(request, copy => copy.Candidates[0].Counters.Counts[0] += 500)));
        Assert.NotEqual(score, await ScoreOfAsync(With(request, copy => copy.Surface = "search")));
    }

    [Fact]
    public async Task Whatever_the_numbers_there_are_14_probabilities_between_0_and_1_and_neighbours_keep_theirs()
    {
        float[] odd = [0, -1, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.Epsilon];
        long[] times = [0, -1, long.MaxValue, long.MinValue, ScoreRequests.NowMs];
        var random = new Random(11);
        ScoreRequest good = Request(seed: 10, 20);
        ScoreResponse expected = await TransformedAsync(_uncached, good);
        for (int round = 0; round < 30; round++)
        {
            ScoreRequest hostile = With(good, copy =>
            {
                foreach (Candidate candidate in Enumerable.Range(0, 40).Select(i => ScoreRequests.Candidate(random, $"hostile-{i}")))
                {
                    candidate.Counters.AsOfMs = times[random.Next(times.Length)];
                    candidate.CreatedAtMs = times[random.Next(times.Length)];
                    candidate.DurationMs = times[random.Next(times.Length)];
                    candidate.Similarity = odd[random.Next(odd.Length)];
                    for (int i = 0; i < 15; i++) candidate.Counters.Counts[i] = odd[random.Next(odd.Length)];
                    for (int level = random.Next(17); level > 0; level--) candidate.Codes.Add(random.Next(2) == 0 ? uint.MaxValue : (uint)random.Next(70));
                    copy.Candidates.Insert(random.Next(copy.Candidates.Count + 1), candidate);
                }
            });

            ScoreResponse response = await TransformedAsync(_uncached, hostile);

            Assert.Equal(60, response.Scores.Count);
            Assert.All(response.Scores, score => Assert.True(score.Probabilities.Count == 14 && score.Probabilities.All(p => p is > 0 and < 1)));
            ILookup<string, CandidateScore> byItem = response.Scores.ToLookup(score => score.ItemId);
            foreach (CandidateScore score in expected.Scores) AssertSameBits(score, Assert.Single(byItem[score.ItemId]));
        }
    }

    [Fact]
    public async Task A_hostile_sequence_is_scored_by_the_transformer_all_the_same()
    {
        long[] times = [0, -1, long.MaxValue, long.MinValue, ScoreRequests.NowMs];
        var random = new Random(12);
        ScoreRequest request = With(Request(seed: 12, 10), copy =>
        {
            copy.NowMs = ScoreRequests.NowMs;
            copy.CounterHalfLifeHours = double.NaN;
            copy.Sequence = new Sequence { SurfaceNames = { "home" } };
            for (int i = 0; i < 4_096; i++)
            {
                copy.Sequence.ItemIds.Add($"past-{random.Next(100)}");
                copy.Sequence.TimesMs.Add(times[random.Next(times.Length)]);
                copy.Sequence.Values.Add(random.Next(2) == 0 ? float.NaN : float.MaxValue);
                copy.Sequence.Surfaces.Add((uint)random.Next() * 2);
            }

            byte[] actions = new byte[4_096];
            random.NextBytes(actions);
            copy.Sequence.Actions = ByteString.CopyFrom(actions);
            foreach (HistoryItem item in copy.History) item.Codes.Add(new uint[random.Next(20)]);
        });

        ScoreResponse response = await TransformedAsync(_uncached, request);

        Assert.All(response.Scores, score => Assert.All(score.Probabilities, p => Assert.True(p is > 0 and < 1)));
    }

    [Fact]
    public async Task Nobody_and_nothing_is_scored_too()
    {
        ScoreResponse nobody = await TransformedAsync(_uncached, With(Request(seed: 1, 5), copy => (copy.Sequence, copy.UserId) = (null, "")));
        ScoreResponse nothing = await TransformedAsync(_uncached, Request(seed: 1, 0));

        Assert.Equal(5, nobody.Scores.Count);
        Assert.Empty(nothing.Scores);
    }

    internal static ScoreRequest Request(int seed, int candidates)
    {
        ScoreRequest request = ScoreRequests.Request(seed, candidates);
        var random = new Random(seed);
        request.Surface = "home";
        foreach (HistoryItem item in request.History) item.Codes.Add([(uint)random.Next(64), (uint)random.Next(64), (uint)random.Next(64)]);
        foreach (Candidate candidate in request.Candidates) candidate.Codes.Add([(uint)random.Next(64), (uint)random.Next(64), (uint)random.Next(64)]);
        return request;
    }

    private static ScoreRequest Only(ScoreRequest request, int[] indexes) => With(request, copy =>
    {
        copy.Candidates.Clear();
        copy.Candidates.AddRange(indexes.Select(index => request.Candidates[index]));
    });

    private async Task<float> ScoreOfAsync(ScoreRequest request) => Assert.Single((await TransformedAsync(_uncached, request)).Scores).Score;

    private static async Task<ScoreResponse> TransformedAsync(RankerApp app, ScoreRequest request)
    {
        ScoreResponse response = await app.ScoreAsync(request);
        Assert.Equal(("transformer", ""), (response.Arm, response.FallbackReason));
        return response;
    }

    internal static void AssertSameBits(CandidateScore expected, CandidateScore actual)
    {
        Assert.Equal(expected.ItemId, actual.ItemId);
        Assert.Equal(BitConverter.SingleToInt32Bits(expected.Score), BitConverter.SingleToInt32Bits(actual.Score));
        Assert.Equal(expected.Probabilities.Select(BitConverter.SingleToInt32Bits), actual.Probabilities.Select(BitConverter.SingleToInt32Bits));
    }

    /// <summary>How many requests shared the fullest run.</summary>
    private sealed class SharedRuns : IDisposable
    {
        private readonly System.Diagnostics.Metrics.MeterListener _listener = new();
        private int _max;

        public SharedRuns(RankerApp app)
        {
            object factory = app.Services.GetService(typeof(System.Diagnostics.Metrics.IMeterFactory))!;
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "mesh.ranker.batch.requests" && ReferenceEquals(instrument.Meter.Scope, factory)) listener.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<int>((_, value, _, _) => InterlockedMax(value));
            _listener.Start();
        }

        public int RequestsMax => Volatile.Read(ref _max);

        public void Dispose() => _listener.Dispose();

        private void InterlockedMax(int value)
        {
            int seen = _max;
            while (value > seen && Interlocked.CompareExchange(ref _max, value, seen) is var current && current != seen) seen = current;
        }
    }
}
