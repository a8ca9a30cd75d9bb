using System.Net;
using System.Text;
using System.Text.Json;
using Mesh.Sidecar.Bindings;
using BindingRequest = Dapr.Client.BindingRequest;
using BindingResponse = Dapr.Client.BindingResponse;

namespace Mesh.Sidecar.Tests.Bindings;

/// <summary>The local storage binding on both faces, by Dapr's binding API and component reference.</summary>
public sealed class LocalStorageTests : IAsyncLifetime
{
    private const string Files = "v1.0/bindings/files";
    private SidecarHarness _sidecar = null!;

    private string Root => Path.Combine(_sidecar.Folder, "store");

    public async Task InitializeAsync() =>
        _sidecar = await SidecarHarness.StartAsync(SidecarHarness.Component("files", "bindings.localstorage", ("rootPath", "store")));

    public async Task DisposeAsync() => await _sidecar.DisposeAsync();

    [Fact]
    public async Task A_file_is_created_read_listed_and_deleted_over_http()
    {
        Answer created = await _sidecar.Http.Post(Files, """{"operation":"create","data":"Hello World","metadata":{"fileName":"a/b.txt"}}""");
        Answer read = await _sidecar.Http.Post(Files, """{"operation":"get","metadata":{"fileName":"a/b.txt"}}""");
        Answer listed = await _sidecar.Http.Post(Files, """{"operation":"list"}""");
        Answer deleted = await _sidecar.Http.Post(Files, """{"operation":"delete","metadata":{"fileName":"a/b.txt"}}""");

        Assert.Equal((HttpStatusCode.OK, """{"fileName":"a/b.txt"}"""), (created.Status, created.Body));
        Assert.Equal((HttpStatusCode.OK, "Hello World"), (read.Status, read.Body));
        Assert.Equal([Path.Combine(Root, "a/b.txt")], listed.Json.EnumerateArray().Select(file => file.GetString()!));
        Assert.Equal((HttpStatusCode.NoContent, ""), (deleted.Status, deleted.Body));
        Assert.False(File.Exists(Path.Combine(Root, "a/b.txt")));
    }

    [Fact]
    public async Task Put_is_taken_like_post_and_a_missing_name_is_made_up()
    {
        Answer created = await _sidecar.Http.Put(Files, """{"operation":"create","data":"x"}""");

        string name = created.Json.GetProperty("fileName").GetString()!;
        Assert.True(Guid.TryParse(name, out _));
        Assert.Equal("x", await File.ReadAllTextAsync(Path.Combine(Root, name)));
    }

    [Fact]
    public async Task Raw_bytes_go_round_through_the_sdk()
    {
        byte[] bytes = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7))];
        var metadata = new Dictionary<string, string> { ["fileName"] = "snapshot.bin" };

        await _sidecar.Dapr.InvokeBindingAsync(new BindingRequest("files", "create") { Data = bytes, Metadata = { ["fileName"] = "snapshot.bin" } });
        BindingResponse read = await _sidecar.Dapr.InvokeBindingAsync(new BindingRequest("files", "get") { Metadata = { ["fileName"] = "snapshot.bin" } });

        Assert.Equal(bytes, read.Data.ToArray());
        Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(Root, metadata["fileName"])));
    }

    [Fact]
    public async Task A_file_is_replaced_whole()
    {
        await CreateAsync("f", "a long first content");
        await CreateAsync("f", "short");

        Assert.Equal("short", await File.ReadAllTextAsync(Path.Combine(Root, "f")));
        Assert.Equal([Path.Combine(Root, "f")], Directory.GetFiles(Root));
    }

    [Theory]
    [InlineData("../outside.txt", "outside.txt")]
    [InlineData("a/../../../outside.txt", "outside.txt")]
    [InlineData("/etc/outside.txt", "etc/outside.txt")]
    [InlineData("../../store-other/x", "store-other/x")]
    public async Task No_name_leads_out_of_the_root(string name, string inside)
    {
        Answer created = await CreateAsync(name, "x");

        Assert.Equal(inside, created.Json.GetProperty("fileName").GetString());
        Assert.True(File.Exists(Path.Combine(Root, inside)));
        Assert.Equal(["files.yaml", "store"], Directory.GetFileSystemEntries(_sidecar.Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task No_link_leads_out_of_the_root()
    {
        await File.WriteAllTextAsync(Path.Combine(_sidecar.Folder, "secret.txt"), "secret");
        File.CreateSymbolicLink(Path.Combine(Root, "link"), _sidecar.Folder);
        File.CreateSymbolicLink(Path.Combine(Root, "up"), "../secret.txt");

        Answer throughFolder = await GetAsync("link/secret.txt");
        Answer direct = await GetAsync("up");

        Assert.Equal((HttpStatusCode.InternalServerError, HttpStatusCode.InternalServerError), (throughFolder.Status, direct.Status));
        Assert.DoesNotContain("\"secret\"", throughFolder.Body + direct.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Failures_are_500_with_the_documented_code_and_say_why()
    {
        foreach ((Answer answer, string reason) in new[]
        {
            (await GetAsync("absent"), "file not found"),
            (await _sidecar.Http.Post(Files, """{"operation":"delete","metadata":{"fileName":"absent"}}"""), "error deleting file"),
            (await _sidecar.Http.Post(Files, """{"operation":"rename"}"""), "binding files does not support operation rename"),
            (await _sidecar.Http.Post(Files, "{}"), "operation field is missing from request"),
            (await _sidecar.Http.Post("v1.0/bindings/other", """{"operation":"get"}"""), "couldn't find output binding other"),
        })
        {
            Assert.Equal((HttpStatusCode.InternalServerError, "ERR_INVOKE_OUTPUT_BINDING"), (answer.Status, answer.ErrorCode));
            Assert.StartsWith("error invoking output binding ", answer.Message, StringComparison.Ordinal);
            Assert.Contains(reason, answer.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_body_that_is_no_request_is_400()
    {
        foreach (string body in new[] { "", "{", """{"operation":1}""", """{"operation":"create","metadata":{"fileName":1}}""" })
        {
            Answer answer = await _sidecar.Http.Post(Files, body);
            Assert.Equal((HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST"), (answer.Status, answer.ErrorCode));
        }
    }

    [OwnSidecarFact]
    public async Task Leftovers_of_a_crash_are_never_listed_and_are_removed_at_the_next_start()
    {
        string leftover = Path.Combine(Root, ".incomplete-1");
        await File.WriteAllTextAsync(leftover, "half");
        Answer listed = await _sidecar.Http.Post(Files, """{"operation":"list"}""");
        File.SetLastWriteTimeUtc(leftover, DateTime.UtcNow.AddHours(-2));

        await _sidecar.AddAsync("another");

        Assert.Equal("null", listed.Body);
        Assert.False(File.Exists(leftover));
    }

    // Expected by Go's strconv.Unquote and base64.StdEncoding, which Dapr's binding uses.
    [Theory]
    [InlineData("plain, text", "plain, text")]
    [InlineData("\"quoted\\n\\u00fc\\x41\\\"\"", "quoted\nüA\"")]
    [InlineData("\"bad \\q escape\"", "\"bad \\q escape\"")]
    [InlineData("\"inner \" quote\"", "\"inner \" quote\"")]
    [InlineData("`raw \\n`", "raw \\n")]
    [InlineData("SGVsbG8=", "Hello")]
    [InlineData("\"SGVsbG8=\"", "Hello")]
    [InlineData("SGVs\nbG8=", "Hello")]
    [InlineData("SGVs bG8=", "SGVs bG8=")]
    [InlineData("SGVsbG8", "SGVsbG8")]
    [InlineData("", "")]
    [InlineData("\"", "\"")]
    [InlineData("{\"a\":1}", "{\"a\":1}")]
    public void Data_is_unquoted_then_decoded_where_it_is_base64(string data, string expected)
    {
        Assert.Equal(expected, Encoding.UTF8.GetString(BindingPayload.Decode(Encoding.UTF8.GetBytes(data)).Span));
    }

    private Task<Answer> CreateAsync(string name, string data) =>
        _sidecar.Http.Post(Files, JsonSerializer.Serialize(new { operation = "create", data, metadata = new { fileName = name } }));

    private Task<Answer> GetAsync(string name) =>
        _sidecar.Http.Post(Files, JsonSerializer.Serialize(new { operation = "get", metadata = new { fileName = name } }));
}
