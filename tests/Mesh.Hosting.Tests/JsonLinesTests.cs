using System.IO.Pipelines;
using System.Text;
using Google.Protobuf;
using Mesh.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Mesh.Hosting.Tests;

/// <summary>Streams of messages: one line each, no faster than they are read, and never a part that looks whole.</summary>
public sealed class JsonLinesTests
{
    [Fact]
    public async Task Each_message_is_one_line_of_its_json()
    {
        Item[] items = [new() { ItemId = "a", Text = "two\nlines" }, new() { ItemId = "ü", CreatedAtMs = 5 }];
        await using TestApp app = await TestApp.StartAsync(web => web.MapGet("/lines", () => new JsonLinesResult(Stream(items))));

        using HttpResponseMessage response = await app.Client.GetAsync("lines");
        string[] lines = (await response.Content.ReadAsStringAsync()).Split('\n');

        Assert.Equal(JsonLinesResult.ContentType, response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("", lines[^1]);
        Assert.Equal(items, lines[..^1].Select(ProtobufJson.Parse<Item>));
    }

    [Fact]
    public async Task The_source_is_asked_for_no_more_than_the_reader_has_room_for()
    {
        int made = 0;
        async IAsyncEnumerable<IMessage> Endless()
        {
            await Task.CompletedTask;
            while (true) yield return new Item { ItemId = $"{made++}", Text = new string('x', 10_000) };
        }

        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 50_000, resumeWriterThreshold: 25_000, useSynchronizationContext: false));
        var context = new DefaultHttpContext();
        context.Features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(pipe.Writer.AsStream()));
        using var left = new CancellationTokenSource();
        context.RequestAborted = left.Token;

        // Everything up to the first wait for the reader happens within this call.
        Task running = new JsonLinesResult(Endless()).ExecuteAsync(context);
        int madeWhilePaused = made;
        ReadResult read = await pipe.Reader.ReadAtLeastAsync(50_000);
        pipe.Reader.AdvanceTo(read.Buffer.End);
        read = await pipe.Reader.ReadAtLeastAsync(50_000);

        Assert.InRange(madeWhilePaused, 1, 6);
        Assert.InRange(made, madeWhilePaused + 1, 12);
        Assert.False(running.IsCompleted);
        await left.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public async Task A_source_that_fails_first_is_an_error_and_one_that_fails_later_breaks_the_answer_off()
    {
        async IAsyncEnumerable<IMessage> Failing(int after)
        {
            for (int i = 0; i < after; i++) yield return new Item { ItemId = $"{i}" };
            await Task.Yield();
            throw new InvalidOperationException("The store is gone.");
        }

        await using TestApp app = await TestApp.StartAsync(web => web.MapGet("/lines/{after:int}", (int after) => new JsonLinesResult(Failing(after))));

        using HttpResponseMessage first = await app.Client.GetAsync("lines/0");
        using HttpResponseMessage later = await app.Client.GetAsync("lines/2", HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await later.Content.ReadAsStreamAsync(), Encoding.UTF8);

        Assert.Equal(500, (int)first.StatusCode);
        Assert.Equal("0", ProtobufJson.Parse<Item>((await reader.ReadLineAsync())!).ItemId);
        Assert.Equal("1", ProtobufJson.Parse<Item>((await reader.ReadLineAsync())!).ItemId);
        await Assert.ThrowsAnyAsync<IOException>(() => reader.ReadLineAsync());
    }

    private static async IAsyncEnumerable<IMessage> Stream(IEnumerable<IMessage> messages)
    {
        await Task.Yield();
        foreach (IMessage message in messages) yield return message;
    }
}
