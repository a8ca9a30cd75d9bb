using Mesh.Contracts;
using Mesh.Simulator.Import;

namespace Mesh.Simulator.Tests;

public sealed class EventIdsTests
{
    [Fact]
    public void The_same_event_has_the_same_id_and_the_id_is_a_ulid_of_its_time()
    {
        string id = EventIds.Make(1_700_000_000_123, "movielens", "u", "i");

        Assert.Equal(id, EventIds.Make(1_700_000_000_123, "movielens", "u", "i"));
        Assert.True(MeshId.IsUlid(id));
        Assert.Equal(1_700_000_000_123, Ulid.Parse(id, null).Time.ToUnixTimeMilliseconds());
    }

    [Fact]
    public void Any_part_and_the_time_tell_events_apart()
    {
        string[] ids =
        [
            EventIds.Make(5, "a", "b"), EventIds.Make(6, "a", "b"), EventIds.Make(5, "ab"), EventIds.Make(5, "a", "b", ""), EventIds.Make(5, "b", "a"), EventIds.Make(5, "", "ab"),
        ];

        Assert.Equal(ids.Length, ids.Distinct().Count());
    }

    [Fact]
    public void An_id_is_the_one_that_earlier_versions_gave()
    {
        // Stores hold ids of former imports: a change of the rule would count every event twice.
        Assert.Equal("01HF7YAT3V7X4JW70HQXKD9KCX", EventIds.Make(1_700_000_000_123, "movielens", "ml:u1", "ml:m1"));
    }
}
