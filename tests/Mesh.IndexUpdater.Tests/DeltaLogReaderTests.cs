using Mesh.Contracts;

namespace Mesh.IndexUpdater.Tests;

public sealed class DeltaLogReaderTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1_000)]
    public async Task Pages_of_the_log_join_up_without_gaps_over_directory_pages_and_batches_of_states_alone(int page)
    {
        await using var rig = new ShardRig();
        for (int i = 0; i < 540; i++)
        {
            if (i % 3 == 0) await rig.ApplyAsync(rig.Count(0, ShardRig.EpochMs, $"unknown-{i}")); // stored, with no delta
            else await rig.ApplyAsync(rig.Upsert($"item-{i}"));
        }

        var sequences = new List<ulong>();
        ulong after = 0;
        while (true)
        {
            IndexDeltaBatch answer = await rig.Log.ReadAsync(0, after, page, default);
            Assert.Equal(360ul, answer.HeadSequence);
            Assert.Equal(after + 1, answer.FirstSequence);
            Assert.InRange(answer.Deltas.Count, 0, page);
            if (answer.Deltas.Count == 0) break;
            sequences.AddRange(answer.Deltas.Select(delta => delta.Sequence));
            after = sequences[^1];
        }

        Assert.Equal(Enumerable.Range(1, 360).Select(sequence => (ulong)sequence), sequences);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_shard_without_a_log_and_a_reader_at_its_head_get_an_empty_answer()
    {
        await using var rig = new ShardRig();
        IndexDeltaBatch nothing = await rig.Log.ReadAsync(0, 0, 10, default);
        Assert.Equal((0ul, false, 0), (nothing.HeadSequence, nothing.TruncatedLog, nothing.Deltas.Count));

        await rig.ApplyAsync(rig.Upsert("a"));

        Assert.Empty((await rig.Log.ReadAsync(0, 1, 10, default)).Deltas);
        Assert.Empty((await rig.Log.ReadAsync(0, 99, 10, default)).Deltas);
    }

    [Fact]
    public async Task An_answer_stays_under_two_mebibytes_and_always_moves_on()
    {
        await using var rig = new ShardRig();
        for (int round = 0; round < 6; round++)
        {
            await rig.ApplyAsync([.. Enumerable.Range(0, 100).Select(i => rig.Upsert($"item-{round}-{i}", new string('x', 5_000)))]);
        }

        IndexDeltaBatch answer = await rig.Log.ReadAsync(0, 0, 10_000, default);

        Assert.InRange(answer.CalculateSize(), 1_000_000, 2 * 1024 * 1024 + 10_000);
        Assert.InRange(answer.Deltas.Count, 1, 599);
    }
}
