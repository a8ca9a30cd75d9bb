using Mesh.Testing;

namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>The durable broker across processes: sidecars of their own that are killed, or that share a file.</summary>
public sealed class PubSubProcessTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public PubSubProcessTests() => _folder.Write(
        "pubsub.yaml",
        SidecarHarness.ComponentYaml("pubsub", "pubsub.sqlite", ("connectionString", "messages.db"), ("processingTimeout", "10m"), ("redeliverInterval", "100ms")));

    public void Dispose() => _folder.Dispose();

    [OwnSidecarFact]
    public async Task What_was_acknowledged_before_kill_9_is_delivered_in_order_after_a_restart()
    {
        var stuck = new TaskCompletionSource();
        var arrived = new TaskCompletionSource();
        SubscriberApp before = SubscriberApp.To(Subscriptions.To("orders", "in"));
        before.Answer = async _ =>
        {
            arrived.TrySetResult();
            await stuck.Task;
            return (200, "");
        };
        SubscriberApp after = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using (TestApp app = await TestApp.StartAsync(before.Map))
        {
            await using SidecarProcess doomed = await SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "subscriber", _folder.Path, app.Port);
            for (int part = 0; part < 5; part++)
            {
                await doomed.Dapr.BulkPublishEventAsync("pubsub", "orders", [.. Enumerable.Range(part * 20, 20)]);
            }

            await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));
            await doomed.KillAsync();
            stuck.SetResult();
        }

        await using TestApp next = await TestApp.StartAsync(after.Map);
        await using SidecarProcess restarted = await SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "subscriber", _folder.Path, next.Port);
        IReadOnlyList<Delivered> delivered = await after.Inbox.WaitForAsync(100);

        Assert.Equal(Enumerable.Range(0, 100), delivered.Select(message => message.Data.GetInt32()));
    }

    [OwnSidecarFact]
    public async Task Sidecars_in_two_processes_share_the_messages_of_one_group()
    {
        SubscriberApp one = SubscriberApp.To(Subscriptions.To("orders", "in"));
        SubscriberApp two = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using TestApp first = await TestApp.StartAsync(one.Map);
        await using TestApp second = await TestApp.StartAsync(two.Map);
        await using SidecarProcess left = await SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "subscriber", _folder.Path, first.Port);
        await using SidecarProcess right = await SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "subscriber", _folder.Path, second.Port);

        Task publishing = Task.WhenAll(
            left.Dapr.BulkPublishEventAsync("pubsub", "orders", [.. Enumerable.Range(0, 300)]),
            right.Dapr.BulkPublishEventAsync("pubsub", "orders", [.. Enumerable.Range(300, 300)]));
        await publishing;
        for (int i = 0; i < 400 && one.Inbox.Items.Count + two.Inbox.Items.Count < 600; i++) await Task.Delay(50);

        Assert.Equal(Enumerable.Range(0, 600), one.Inbox.Items.Concat(two.Inbox.Items).Select(message => message.Data.GetInt32()).Order());
    }
}
