using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>kill -9 of any one process during an import: what was acknowledged is there afterwards, exactly once.</summary>
public sealed class KillTests
{
    private const int Users = 30;
    private const int EventsPerUser = 80;
    private const int BatchSize = 60;

    [Theory]
    [InlineData("gateway")]
    [InlineData("sequence-store")]
    [InlineData("index-updater")]
    [InlineData("retrieval")]
    [InlineData("ranker")]
    [InlineData("host")]
    public async Task Killing_one_process_during_an_import_loses_and_doubles_nothing(string victim)
    {
        await using MeshHost host = await MeshHost.StartAsync();
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        List<ItemRow> items = SmallWorld.Items(60, now);
        List<EventRow> events = Events(items, now);
        var import = new ResilientImport(host);
        int killAfter = Random.Shared.Next(1, events.Count / BatchSize);

        await import.SendAsync(items.Chunk(BatchSize), (api, batch) => api.PostItemsAsync(batch));
        int sent = 0;
        await import.SendAsync(events.Chunk(BatchSize), async (api, batch) =>
        {
            if (++sent == killAfter)
            {
                // The batch is on its way while the process dies: the moment that loses or doubles.
                Task<BatchAnswer> onItsWay = api.PostEventsAsync(batch);
                await KillAsync(host, victim);
                return await onItsWay;
            }

            return await api.PostEventsAsync(batch);
        });

        var mesh = new MeshApi(host.Http);
        foreach (IGrouping<string, EventRow> user in events.GroupBy(row => row.UserId))
        {
            string[] expected = [.. user.Select(row => row.EventId).Order(StringComparer.Ordinal)];
            string[] seen = [];
            await Eventually.TrueAsync($"every event of {user.Key} is in the log once (killed {victim} at batch {killAfter})", async () =>
            {
                seen = await IdsAsync(mesh, user.Key);
                return seen.Length >= expected.Length;
            }, () => Task.FromResult($"{seen.Length} of {expected.Length}"), withinSeconds: 60);
            Assert.Equal(expected, seen);
        }

        await Eventually.TrueAsync("every item is in the index", async () =>
        {
            foreach (ItemRow item in items)
            {
                if (!await mesh.IsRetrievableAsync(item.ItemId)) return false;
            }

            return true;
        }, withinSeconds: 60);
    }

    // A service is started again by the host; a killed host is started again here, on the same data and ports.
    private static async Task KillAsync(MeshHost host, string victim)
    {
        if (victim == "host")
        {
            host.KillHost();
            await host.RestartAsync();
            return;
        }

        int gone = host.KillApp(victim);
        await host.WaitUntilAppRestartedAsync(victim, gone);
    }

    private static async Task<string[]> IdsAsync(MeshApi mesh, string user)
    {
        try
        {
            return [.. (await mesh.HistoryAsync(user)).Events.Select(row => row.EventId).Order(StringComparer.Ordinal)];
        }
        catch (HttpRequestException)
        {
            return []; // the service is on its way back
        }
    }

    private static List<EventRow> Events(List<ItemRow> items, long now)
    {
        var random = new Random(7);
        return
        [
            .. from k in Enumerable.Range(0, EventsPerUser)
               from user in Enumerable.Range(0, Users)
               select SmallWorld.Event($"u{user}", items[random.Next(items.Count)].ItemId, "like", now - 1_000_000 + (k * 1_000), salt: k),
        ];
    }

    /// <summary>Sends each batch until it is acknowledged, with the same event ids, as an importer does.</summary>
    private sealed class ResilientImport(MeshHost host)
    {
        public async Task SendAsync<T>(IEnumerable<T[]> batches, Func<MeshApi, T[], Task<BatchAnswer>> send)
        {
            foreach (T[] batch in batches)
            {
                await Eventually.TrueAsync("the batch is acknowledged", async () =>
                {
                    try
                    {
                        BatchAnswer answer = await send(new MeshApi(host.Http), batch);
                        return answer.Rejected.Length == 0;
                    }
                    catch (Exception fault) when (fault is HttpRequestException or OperationCanceledException or Xunit.Sdk.XunitException)
                    {
                        return false;
                    }
                }, withinSeconds: 90);
            }
        }
    }
}
