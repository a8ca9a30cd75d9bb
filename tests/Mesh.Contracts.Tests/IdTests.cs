namespace Mesh.Contracts.Tests;

public sealed class IdTests
{
    [Theory]
    [InlineData("u1")]
    [InlineData("genre:Drama")]
    [InlineData("a.b_c@d~e=f-g")]
    public void Ids_of_the_allowed_characters_are_valid(string id) => Assert.True(MeshId.IsValid(id));

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("a b")]
    [InlineData("a||b")]
    [InlineData("a/b")]
    [InlineData("ü")]
    [InlineData("..")]
    [InlineData("a\n")]
    public void Other_ids_are_not(string? id) => Assert.False(MeshId.IsValid(id));

    [Fact]
    public void An_id_has_at_most_128_characters()
    {
        Assert.True(MeshId.IsValid(new string('x', 128)));
        Assert.False(MeshId.IsValid(new string('x', 129)));
    }

    [Fact]
    public void Event_ids_are_ulids()
    {
        Assert.True(MeshId.IsUlid(Ulid.NewUlid().ToString()));
        Assert.False(MeshId.IsUlid("01ARZ3NDEKTSV4RRFFQ69G5FA"));
        Assert.False(MeshId.IsUlid("not-a-ulid-not-a-ulid-not-"));
    }

    [Theory]
    [InlineData("", 0x811c9dc5u)]
    [InlineData("a", 0xe40c292cu)]
    [InlineData("foobar", 0xbf9cf968u)]
    public void The_item_hash_is_32_bit_fnv_1a(string id, uint expected) => Assert.Equal(expected, ItemHash.Compute(id));
}
