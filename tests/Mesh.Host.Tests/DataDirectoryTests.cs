using System.Text.Json;
using Mesh.Host.Data;
using Mesh.Testing;

namespace Mesh.Host.Tests;

public sealed class DataDirectoryTests : IDisposable
{
    private static readonly RunState State = new(42, DateTimeOffset.UnixEpoch, "http://localhost:1", "/d", [new RunApp("a", 7, DateTimeOffset.UnixEpoch, "http://localhost:1", 2, 3, true, 0, null)]);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Of_changes_at_once_the_last_state_is_the_one_in_run_json()
    {
        using DataDirectory data = DataDirectory.Open(_folder.In("busy"));
        for (int round = 0; round < 50; round++)
        {
            int changes = 0;
            await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
            {
                Interlocked.Increment(ref changes);
                data.Run.Write(() => State with { Pid = Volatile.Read(ref changes) });
            })));

            Assert.Equal(8, data.Run.ReadLeftover()!.Pid);
        }
    }

    [Fact]
    public void A_second_host_on_the_same_data_is_refused_and_told_who_has_it()
    {
        using DataDirectory first = DataDirectory.Open(_folder.In("data"));
        first.Run.Write(() => State);

        DataDirectoryInUseException exception = Assert.Throws<DataDirectoryInUseException>(() => DataDirectory.Open(_folder.In("data")));

        Assert.Contains("process 42, http://localhost:1", exception.Message, StringComparison.Ordinal);
        Assert.Contains("--data DIR", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_path_that_cannot_be_a_folder_is_refused_in_words()
    {
        File.WriteAllText(_folder.In("file"), "");

        foreach (string path in new[] { _folder.In("file"), _folder.In("file", "data") })
        {
            DataDirectoryInUseException exception = Assert.Throws<DataDirectoryInUseException>(() => DataDirectory.Open(path));

            Assert.Contains($"{path} cannot be used", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_lock_is_free_again_once_the_host_is_gone_although_its_file_stays()
    {
        DataDirectory.Open(_folder.In("data")).Dispose();

        using DataDirectory second = DataDirectory.Open(_folder.In("data"));

        Assert.True(File.Exists(_folder.In("data", "host.lock")));
    }

    [Fact]
    public void Run_json_has_the_documented_names_and_no_half_written_file_beside_it()
    {
        using DataDirectory data = DataDirectory.Open(_folder.Path);

        data.Run.Write(() => State);

        JsonElement run = JsonDocument.Parse(File.ReadAllText(_folder.In("run.json"))).RootElement;
        Assert.Equal(42, run.GetProperty("pid").GetInt32());
        Assert.Equal("http://localhost:1", run.GetProperty("gatewayUrl").GetString());
        Assert.Equal("/d", run.GetProperty("dataDirectory").GetString());
        Assert.True(run.TryGetProperty("startedAt", out _));
        JsonElement app = Assert.Single(run.GetProperty("apps").EnumerateArray());
        Assert.Equal(("a", 7, 2, 3, true), (app.GetProperty("appId").GetString(), app.GetProperty("pid").GetInt32(), app.GetProperty("daprHttpPort").GetInt32(), app.GetProperty("daprGrpcPort").GetInt32(), app.GetProperty("ready").GetBoolean()));
        Assert.Equal(["host.lock", "run.json"], Directory.GetFiles(_folder.Path).Select(path => Path.GetFileName(path)!).Order());
    }

    [Fact]
    public void A_change_that_comes_after_the_end_does_not_bring_run_json_back()
    {
        using DataDirectory data = DataDirectory.Open(_folder.Path);
        data.Run.Write(() => State);
        data.Run.Delete();

        data.Run.Write(() => State);

        Assert.False(File.Exists(_folder.In("run.json")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{ \"pid\": ")]
    public void A_damaged_run_json_counts_as_none(string content)
    {
        File.WriteAllText(_folder.In("run.json"), content);

        Assert.Null(new RunFile(_folder.In("run.json")).ReadLeftover());
    }
}
