using System.Diagnostics;
using Mesh.Benchmarks.Ann;

namespace Mesh.Benchmarks.Tests;

/// <summary>The peer process, with a stand-in for FAISS (Fakes/faiss.py).</summary>
public sealed class FaissPeerTests : IDisposable
{
    private const string Python = NumpyFactAttribute.Interpreter;
    private const int K = 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("feedmesh-peer-").FullName;
    private readonly AnnData _data = new("easy", 2_003, 8, 40, seed: 1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Where_no_FAISS_can_be_imported_it_is_told_why()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "faiss.py"), "raise ImportError('made for another machine')");

        (FaissPeer? peer, string fault) = await FaissPeer.StartAsync(Python, _folder, _folder, CancellationToken.None);
        (FaissPeer? none, string noInterpreter) = await FaissPeer.StartAsync("no-such-python", "", _folder, CancellationToken.None);

        Assert.Null(peer);
        Assert.Null(none);
        Assert.NotEmpty(noInterpreter);
        if (File.Exists(Python)) Assert.Contains("made for another machine", fault, StringComparison.Ordinal);
    }

    [NumpyFact]
    public async Task With_every_list_probed_each_way_finds_what_passes_and_is_nearest()
    {
        using FaissPeer peer = await OpenAsync();
        var bitmaps = new ValueBitmaps(_data);
        AnnFilterSet[] filters = [AnnFilterSet.Make(_data, bitmaps, 100, 1), AnnFilterSet.Make(_data, bitmaps, 50, 1)];
        var truth = new AnnTruth(_data, filters, K, CancellationToken.None);
        await peer.FilterAsync(filters[1], CancellationToken.None);

        foreach (string index in new[] { "flat-16", "sq8-16" })
        {
            Assert.Equal(1, await RecallAsync(filters[0], isPost: false, 16));
            Assert.Equal(1, await RecallAsync(filters[1], isPost: false, 16));
            Assert.InRange(await RecallAsync(filters[1], isPost: true, 16), 0.9, 1); // half as many again as hold k on average
            Assert.InRange(await RecallAsync(filters[0], isPost: false, 1), 0.05, 0.999);

            async Task<double> RecallAsync(AnnFilterSet set, bool isPost, int knob) =>
                truth.Recall(set, K, (await peer.AnswerAsync(index, isPost, set, K, knob, CancellationToken.None)).Rows);
        }
    }

    [NumpyFact]
    public async Task Singles_and_batches_are_timed_with_selectors_and_without()
    {
        using FaissPeer peer = await OpenAsync();
        var bitmaps = new ValueBitmaps(_data);
        AnnFilterSet all = AnnFilterSet.Make(_data, bitmaps, 100, 1), half = AnnFilterSet.Make(_data, bitmaps, 50, 1);
        await peer.FilterAsync(half, CancellationToken.None);

        foreach ((AnnFilterSet set, bool isPost) in new[] { (all, false), (half, false), (half, true) })
        {
            Assert.True(await peer.RunAsync("flat-16", isPost, set, K, 4, isBatch: false, 1, 0.01, CancellationToken.None) > 0);
            Assert.True(await peer.RunAsync("flat-16", isPost, set, K, 4, isBatch: true, 0, 0.01, CancellationToken.None) > 0);
        }
    }

    [NumpyFact]
    public async Task The_lists_hold_each_row_once_and_come_out_of_the_cache_as_they_went_in()
    {
        int[] built, read;
        using (FaissPeer peer = await OpenAsync()) built = await peer.AssignmentAsync(16, CancellationToken.None);
        using (FaissPeer peer = await OpenAsync(isCached: true)) read = await peer.AssignmentAsync(16, CancellationToken.None);

        Assert.Equal(_data.Rows, built.Length);
        Assert.All(built, list => Assert.InRange(list, 0, 15));
        Assert.True(built.Distinct().Count() > 8);
        Assert.Equal(built, read);
    }

    [NumpyFact]
    public async Task A_request_that_fails_is_an_error_and_the_peer_goes_on()
    {
        using FaissPeer peer = await OpenAsync();
        AnnFilterSet all = AnnFilterSet.Make(_data, new ValueBitmaps(_data), 100, 1);

        await Assert.ThrowsAsync<InvalidOperationException>(() => peer.AnswerAsync("flat-17", false, all, K, 1, CancellationToken.None));

        Assert.Equal(_data.QueryCount, (await peer.AnswerAsync("flat-16", false, all, K, 1, CancellationToken.None)).Rows.Length);
    }

    private async Task<FaissPeer> OpenAsync(bool isCached = false)
    {
        (FaissPeer? peer, string fault) = await FaissPeer.StartAsync(Python, Path.Combine(AppContext.BaseDirectory, "Fakes"), _folder, CancellationToken.None);
        Assert.True(peer is not null, fault);
        Assert.Equal(("0.0-fake", "FAKE"), (peer.Version, peer.CompileOptions));
        await peer.OpenAsync(_data, _folder, CancellationToken.None);
        foreach (string kind in new[] { "flat", "sq8" }) Assert.Equal(isCached, (await peer.IndexAsync(kind, 16, CancellationToken.None)).IsCached);
        return peer;
    }
}

/// <summary>A test that needs numpy.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NumpyFactAttribute : FactAttribute
{
    public const string Interpreter = "/usr/bin/python3";

    private static readonly bool s_isHere = IsHere();

    public NumpyFactAttribute()
    {
        if (!s_isHere) Skip = $"{Interpreter} has no numpy: install python3-numpy.";
    }

    private static bool IsHere()
    {
        if (!File.Exists(Interpreter)) return false;
        using Process process = Process.Start(new ProcessStartInfo(Interpreter, ["-c", "import numpy"]) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
