namespace Mesh.Simulator.Tests;

public sealed class SimulatorCommandTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public async Task The_exit_code_is_0_when_all_is_accepted_and_1_when_something_is_rejected()
    {
        await using var gateway = new ScriptedGateway();
        await gateway.StartAsync();
        string[] arguments = ["synthetic", "--url", gateway.Url.ToString(), "--users", "5", "--authors", "3", "--items", "20", "--events", "30", "--end", "2026-01-01T00:00:00Z"];

        Assert.Equal(0, await SimulatorCommand.RunAsync(arguments));
        gateway.Reject = row => row.TryGetProperty("action", out _) ? "no" : null;
        Assert.Equal(1, await SimulatorCommand.RunAsync(arguments));
    }

    [Fact]
    public async Task Files_load_with_times_moved_to_now()
    {
        await using var gateway = new ScriptedGateway();
        await gateway.StartAsync();
        _files.Write("ratings.csv", "userId,movieId,rating,timestamp", "1,1,4.0,3000", "1,1,4.0,2000").Write("movies.csv", "movieId,title,genres", "1,A (1990),Drama");
        DateTimeOffset before = TimeProvider.System.GetUtcNow();

        Assert.Equal(0, await SimulatorCommand.RunAsync(["movielens", "--path", _files.Folder, "--shift-to-now", "--url", gateway.Url.ToString()]));

        long[] times = [.. gateway.Requests.Last().Body.GetProperty("events").EnumerateArray().Select(row => row.GetProperty("time").GetInt64())];
        Assert.Equal(1_000_000, times[1] - times[0]);
        Assert.InRange(times[1], before.ToUnixTimeMilliseconds(), TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());
    }

    [Theory]
    [InlineData]
    [InlineData("netflix")]
    [InlineData("movielens")]
    [InlineData("synthetic", "--seeds", "1")]
    [InlineData("synthetic", "--batch", "1001")]
    [InlineData("synthetic", "--url", "nonsense")]
    [InlineData("synthetic", "--end", "tomorrow")]
    public async Task Wrong_usage_exits_with_2(params string[] arguments)
    {
        Assert.Equal(2, await SimulatorCommand.RunAsync(arguments));
    }

    [Fact]
    public async Task Data_that_is_not_there_exits_with_1()
    {
        Assert.Equal(1, await SimulatorCommand.RunAsync(["kuairand", "--path", _files.Folder]));
    }
}
