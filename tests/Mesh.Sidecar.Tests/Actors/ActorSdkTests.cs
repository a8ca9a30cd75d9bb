using Dapr.Actors;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>Actors as the official .NET SDK uses them, on both ends.</summary>
public sealed class ActorSdkTests
{
    [Fact]
    public async Task A_weak_proxy_calls_a_method_and_state_adds_up()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();

        int first = await app.Weak("one").InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 2);
        int second = await app.Weak("one").InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 3);
        int other = await app.Weak("another").InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 7);

        Assert.Equal((2, 5, 7), (first, second, other));
        Assert.Equal(1, app.Log.Count("activated one"));
    }

    [Fact]
    public async Task A_typed_proxy_passes_records_both_ways()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();

        Parcel wrapped = await app.Typed("one").WrapAsync(new Parcel("box", [1, 2, 3]));

        Assert.Equal("<box>", wrapped.Name);
        Assert.Equal([1, 2, 3], wrapped.Weights);
    }

    [Fact]
    public async Task An_exception_of_a_typed_method_reaches_the_caller()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();

        ActorMethodInvocationException error = await Assert.ThrowsAsync<ActorMethodInvocationException>(() => app.Typed("one").FailAsync("out of stock"));

        Assert.Contains("out of stock", error.InnerException!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ids_with_reserved_characters_name_one_actor_and_keep_its_state()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();
        const string id = "user:a b|c=1,ü%";

        await app.Weak(Uri.EscapeDataString(id)).InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 1);
        int total = await app.Weak(Uri.EscapeDataString(id)).InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 1);

        Assert.Equal(2, total);
        Assert.Equal(1, app.Log.Count($"activated {id}"));
    }

    [Fact]
    public async Task A_reminder_brings_its_data_until_its_own_callback_unregisters_it()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();

        bool isRegistered = await app.Typed("one").RemindAsync("wake");
        await Waiting.UntilAsync(() => app.Log.Count("reminder one wake payload") == 2, "the reminder fired twice");
        using HttpResponseMessage gone = await app.Harness.Http.GetAsync("v1.0/actors/Counter/one/reminders/wake");

        Assert.True(isRegistered);
        Assert.False(gone.IsSuccessStatusCode);
    }

    [Fact]
    public async Task A_timer_calls_its_callback_with_its_data()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();

        await app.Typed("one").StartTimerAsync("soon");
        await Waiting.UntilAsync(() => app.Log.Entries.Contains("timer one tick"), "the timer fired");

        Assert.Equal(1, app.Log.Count("timer one tick"));
    }

    [Fact]
    public async Task A_hundred_calls_at_once_lose_no_update()
    {
        await using SdkActorApp app = await SdkActorApp.StartAsync();

        int[] totals = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => app.Weak("one").InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 1)));

        Assert.Equal(Enumerable.Range(1, 100), totals.Order());
    }

    [Fact]
    public async Task Stopping_the_sidecar_deactivates_its_actors()
    {
        SdkActorApp app = await SdkActorApp.StartAsync();
        await app.Weak("one").InvokeMethodAsync<int, int>(nameof(ICounter.AddAsync), 1);

        await app.DisposeAsync();

        Assert.Equal(1, app.Log.Count("deactivated one"));
    }
}
