using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

[Collection(nameof(Alone))]
public sealed class SearchTeamTests
{
    [Theory, InlineData(0), InlineData(1), InlineData(2), InlineData(1_000)]
    public void Every_part_of_every_step_is_done_once(int parts)
    {
        using var team = new Formed(3);
        for (int step = 0; step < 50; step++)
        {
            int[] done = new int[parts];

            team.Team.Run(parts, (_, part) => Interlocked.Increment(ref done[part]));

            Assert.All(done, times => Assert.Equal(1, times));
        }
    }

    [Fact]
    public void Two_threads_of_a_team_have_two_numbers_and_work_at_once()
    {
        // A helper that finds nothing to do leaves, so on a busy machine it may take more than one team.
        for (int attempt = 0; ; attempt++)
        {
            using var team = new Formed(2);
            using var both = new Barrier(2);
            int[] workers = new int[2];
            bool haveMet = true;
            team.Team.Run(2, (worker, part) =>
            {
                workers[part] = worker;
                if (!both.SignalAndWait(TimeSpan.FromMilliseconds(100))) haveMet = false;
            });
            if (!haveMet && attempt < 100) continue;

            Assert.True(haveMet, "no helper came");
            Assert.Equal([0, 1], workers.Order());
            return;
        }
    }

    [Fact]
    public void What_a_part_throws_comes_to_the_caller_once_all_others_have_ended()
    {
        for (int i = 0; i < 200; i++)
        {
            using var team = new Formed(2);
            int running = 0;
            InvalidOperationException thrown = Assert.Throws<InvalidOperationException>(() => team.Team.Run(100, (_, part) =>
            {
                Interlocked.Increment(ref running);
                Thread.SpinWait(100);
                Interlocked.Decrement(ref running);
                if (part == 30) throw new InvalidOperationException("part 30");
            }));

            Assert.Equal("part 30", thrown.Message);
            Assert.Equal(0, Volatile.Read(ref running));
            int after = 0;
            team.Team.Run(10, (_, _) => Interlocked.Increment(ref after));
            Assert.Equal(10, after);
        }
    }

    [Fact]
    public void A_search_goes_on_alone_where_others_keep_the_processors_busy()
    {
        for (int i = 0; i < Environment.ProcessorCount; i++) SearchTeam.Enter();
        try
        {
            SearchTeam.Enter();
            Assert.Null(SearchTeam.TryForm(2));
            SearchTeam.Leave();
        }
        finally
        {
            for (int i = 0; i < Environment.ProcessorCount; i++) SearchTeam.Leave();
        }
    }

    // Formed as if there were processors enough.
    private sealed class Formed : IDisposable
    {
        public Formed(int threads) => Team = SearchTeam.Form(threads);

        public SearchTeam Team { get; }

        public void Dispose() => Team.End();
    }
}
