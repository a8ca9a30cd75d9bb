namespace Mesh.Numerics.Tests;

public sealed class TokenizerTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("  ,.!  ", "")]
    [InlineData("Hello, World", "hello|world")]
    [InlineData("#CatsOfInstagram @bob", "catsofinstagram|bob")]
    [InlineData("don't Don’t rock'n'roll 'quoted'", "dont|dont|rocknroll|quoted")]
    [InlineData("snake_case kebab-case 3.5km", "snake|case|kebab|case|3|5km")]
    [InlineData("ÄRGER im Straßenbau", "ärger|im|straßenbau")]
    [InlineData("ПРИВЕТ мир", "привет|мир")]
    [InlineData("黒い猫cat", "黒|い|猫|cat")]
    [InlineData("👍 ok 👍🏽", "ok")]
    public void Tokenize_cuts_words_and_lowers_them(string text, string expected) =>
        Assert.Equal(expected, string.Join('|', Tokenizer.Tokenize(text)));

    [Fact]
    public void Tokenize_stops_at_the_limit() => Assert.Equal(["a", "b"], Tokenizer.Tokenize("a b c d", tokensMax: 2));

    [Fact]
    public void Tokenize_survives_a_lone_surrogate() => Assert.Equal(["a", "b"], Tokenizer.Tokenize("a\uD83D b"));
}
