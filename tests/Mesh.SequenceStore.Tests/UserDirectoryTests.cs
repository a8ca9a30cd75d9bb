using System.Security.Cryptography;
using System.Text;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Tests;

/// <summary>The directory of users: who is in it is found, once, whatever is written meanwhile.</summary>
public sealed class UserDirectoryTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly InMemoryUserState _state = new();

    [Fact]
    public async Task All_users_are_found_in_the_order_of_their_hashes_however_often_nodes_split()
    {
        var directory = new UserDirectory(_state, usersMax: 2);
        string[] users = Users(3_000);
        foreach (string user in users.Concat(users.Take(100))) await directory.AddAsync(user, None);

        Assert.Equal(users.OrderBy(Hash, StringComparer.Ordinal), await AllAsync(directory));
        Assert.Contains(_state.Keys, key => key.Length > "d:aaa".Length);
    }

    [Fact]
    public async Task A_walk_goes_on_from_any_user_also_one_that_is_not_there()
    {
        var directory = new UserDirectory(_state, usersMax: 2);
        string[] users = [.. Users(400).OrderBy(Hash, StringComparer.Ordinal)];
        foreach (string user in users) await directory.AddAsync(user, None);
        await directory.RemoveAsync(users[200], None);

        Assert.Equal(users[100..200].Concat(users[201..]), await AllAsync(directory, users[100]));
        Assert.Equal(users[201..], await AllAsync(directory, users[200]));
    }

    [Fact]
    public async Task What_is_added_removed_and_split_during_a_walk_neither_hides_nor_repeats_a_user()
    {
        var directory = new UserDirectory(_state, usersMax: 2);
        string[] staying = Users(300), coming = [.. Users(300).Select(user => $"new-{user}")];
        foreach (string user in staying) await directory.AddAsync(user, None);
        var added = new Queue<string>(coming);

        var met = new List<string>();
        await foreach (IReadOnlyList<string> group in directory.UsersAsync(null, None))
        {
            met.AddRange(group);
            for (int i = 0; i < 5 && added.TryDequeue(out string? next); i++)
            {
                await directory.AddAsync(next, None);
                await directory.RemoveAsync(coming[0], None);
            }
        }

        Assert.Equal(met.Distinct(), met);
        Assert.Equal(staying.Order(), met.Except(coming).Order());
    }

    [Theory]
    [InlineData(InMemoryUserState.Fault.BeforeCommit)]
    [InlineData(InMemoryUserState.Fault.AfterCommit)]
    internal async Task A_split_that_failed_is_whole_after_it_is_repeated(InMemoryUserState.Fault fault)
    {
        var directory = new UserDirectory(_state, usersMax: 2);
        string[] oneBucket = [.. Users(5_000).Where(user => UserDirectory.BucketOf(user) == "7f").Take(6)];
        foreach (string user in oneBucket)
        {
            _state.NextTransaction = fault;
            await Assert.ThrowsAsync<IOException>(() => directory.AddAsync(user, None));
            await directory.AddAsync(user, None);
            _state.NextTransaction = InMemoryUserState.Fault.None;
        }

        Assert.Equal(oneBucket.OrderBy(Hash, StringComparer.Ordinal), await AllAsync(directory));
    }

    [Fact]
    public async Task A_directory_that_everybody_left_holds_no_user_and_takes_new_ones()
    {
        var directory = new UserDirectory(_state, usersMax: 2);
        string[] users = Users(500);
        foreach (string user in users) await directory.AddAsync(user, None);

        foreach (string user in users) await directory.RemoveAsync(user, None);
        Assert.Empty(await AllAsync(directory));
        await directory.AddAsync(users[7], None);

        Assert.Equal([users[7]], await AllAsync(directory));
    }

    [Fact]
    public void Buckets_share_the_users_evenly()
    {
        int[] sizes = [.. Users(25_600).GroupBy(UserDirectory.BucketOf).Select(bucket => bucket.Count())];

        Assert.Equal(256, sizes.Length);
        Assert.InRange(sizes.Max(), 100, 150);
    }

    private static async Task<List<string>> AllAsync(UserDirectory directory, string? from = null)
    {
        var users = new List<string>();
        await foreach (IReadOnlyList<string> group in directory.UsersAsync(from, None)) users.AddRange(group);
        return users;
    }

    private static string[] Users(int count) => [.. Enumerable.Range(0, count).Select(i => $"user-{i}")];

    private static string Hash(string user) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(user)));
}
