using Mesh.Contracts;
using Mesh.Simulator.Files;
using Mesh.Simulator.Import;
using Mesh.Simulator.MovieLens;
using Mesh.Simulator.Rest;
using Mesh.Testing;

namespace Mesh.Simulator.Tests;

public sealed class MovieLensTests : IDisposable
{
    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Csv_files_become_items_and_events_in_the_order_of_time()
    {
        WriteCsv();

        MovieLensDataSet data = MovieLensDataSet.Open(_files.Folder);
        ItemBody[] items = [.. data.Items()];
        EventBody[] events = [.. data.Events()];

        Assert.Equal(["ml:m1", "ml:m11", "ml:m7"], items.Select(item => item.ItemId));
        Assert.Equal(("genre:Childrens:1990s", "Toy \"Story\" (1995)"), (items[0].AuthorId, items[0].Text));
        Assert.Equal(["childrens", "sci-fi"], items[0].Tags);
        Assert.Equal(1_000_000, items[0].CreatedAt);
        Assert.Equal("American President, The (1995)", items[1].Text);
        Assert.Equal("genre:None:unknown", items[2].AuthorId);
        Assert.Empty(items[2].Tags);

        Assert.Equal([("ml:u2", "ml:m1", "not_interested", 1_000_000L, 2.5f), ("ml:u1", "ml:m11", "click", 2_000_000L, 3.5f), ("ml:u1", "ml:m1", "like", 3_000_000L, 4f)],
            events.Select(row => (row.UserId, row.ItemId, row.Action, row.Time, row.Value!.Value)));
        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(3_000), data.LastEventAt);
    }

    [Fact]
    public void Dat_files_are_read_as_latin_1()
    {
        _files.Write("ratings.dat", "1::2::5::978300760").Write("movies.dat", "2::Léon: The Professional (1994)::Crime|Drama");

        MovieLensDataSet data = MovieLensDataSet.Open(_files.Folder);

        Assert.Equal("Léon: The Professional (1994)", data.Items().Single().Text);
        Assert.Equal(("ml:u1", "ml:m2", "like", 978300760000), data.Events().Select(row => (row.UserId, row.ItemId, row.Action, row.Time)).Single());
    }

    [XzFact]
    public void Compressed_files_read_the_same_as_plain_ones()
    {
        WriteCsv();
        MovieLensDataSet plain = MovieLensDataSet.Open(_files.Folder);
        (EventBody[] events, string[] texts) expected = ([.. plain.Events()], [.. plain.Items().Select(item => item.Text)]);
        _files.Compress("ratings.csv").Compress("movies.csv");

        MovieLensDataSet data = MovieLensDataSet.Open(_files.Folder);

        Assert.Equal(expected.events, data.Events());
        Assert.Equal(expected.texts, data.Items().Select(item => item.Text));
    }

    [XzFact]
    public void A_damaged_archive_is_an_error_that_names_it()
    {
        WriteCsv();
        _files.Compress("ratings.csv");
        string path = Path.Combine(_files.Folder, "ratings.csv.xz");
        byte[] bytes = File.ReadAllBytes(path);
        File.WriteAllBytes(path, bytes[..(bytes.Length / 2)]);

        DataException exception = Assert.Throws<DataException>(() => MovieLensDataSet.Open(_files.Folder));

        Assert.Contains("ratings.csv.xz", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ids_are_the_same_on_every_import_and_differ_between_rows()
    {
        WriteCsv();

        string[] first = [.. MovieLensDataSet.Open(_files.Folder).Events().Select(row => row.EventId)];
        string[] second = [.. MovieLensDataSet.Open(_files.Folder).Events().Select(row => row.EventId)];

        Assert.Equal(first, second);
        Assert.Equal(3, first.Distinct().Count());
        Assert.All(first, id => Assert.True(MeshId.IsUlid(id)));
    }

    [Fact]
    public void Rows_limits_the_ratings_by_time_and_the_movies_to_those_rated()
    {
        WriteCsv();

        MovieLensDataSet data = MovieLensDataSet.Open(_files.Folder, rowsMax: 2);

        Assert.Equal([1_000_000, 2_000_000], data.Events().Select(row => row.Time));
        Assert.Equal(["ml:m1", "ml:m11"], data.Items().Select(item => item.ItemId));
    }

    [Fact]
    public void Shifting_moves_times_and_keeps_ids()
    {
        WriteCsv();
        MovieLensDataSet data = MovieLensDataSet.Open(_files.Folder);

        var shifted = new ShiftedDataSet(data, TimeSpan.FromSeconds(10));

        Assert.Equal(data.Events().Select(row => (row.EventId, row.Time + 10_000)), shifted.Events().Select(row => (row.EventId, row.Time)));
        Assert.Equal(data.Items().Select(item => item.CreatedAt + 10_000), shifted.Items().Select(item => item.CreatedAt));
    }

    [Theory]
    [InlineData("userId,movieId,rating,timestamp\n1,1,4.0,soon", "line 2, timestamp: 'soon' is not a whole number")]
    [InlineData("userId,movieId,rating,timestamp\n1,1,4.0", "line 2, timestamp: the line is too short")]
    [InlineData("userId,movieId,stars,timestamp\n1,1,4.0,1", "has no column rating; it has userId, movieId, stars, timestamp")]
    public void A_line_that_cannot_be_read_is_named(string ratings, string fault)
    {
        _files.Write("ratings.csv", ratings.Split('\n')).Write("movies.csv", "movieId,title,genres");

        DataException exception = Assert.Throws<DataException>(() => MovieLensDataSet.Open(_files.Folder));

        Assert.Contains(fault, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_the_files_says_what_was_looked_for()
    {
        DataException exception = Assert.Throws<DataException>(() => MovieLensDataSet.Open(_files.Folder));

        Assert.Contains("ratings.csv, ratings.csv.xz, ratings.dat, ratings.dat.xz", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a,b", new[] { "a", "b" })]
    [InlineData("a,\"b, c\",d", new[] { "a", "b, c", "d" })]
    [InlineData("\"say \"\"hi\"\"\",", new[] { "say \"hi\"", "" })]
    public void Csv_fields_may_be_quoted(string line, string[] fields)
    {
        Assert.Equal(fields, Table.SplitCsv(line));
    }

    [DataSetFact("ml-latest-small")]
    public void The_small_public_set_has_its_published_size()
    {
        MovieLensDataSet data = MovieLensDataSet.Open(DataSet.Folder("ml-latest-small"));
        EventBody[] events = [.. data.Events()];
        ItemBody[] items = [.. data.Items()];

        Assert.Equal((100_836, 9_742, 610), (events.Length, items.Length, events.Select(row => row.UserId).Distinct().Count()));
        Assert.Equal(events.Length, events.Select(row => row.EventId).Distinct().Count());
        Assert.Empty(events.Select(row => row.ItemId).Distinct().Except(items.Select(item => item.ItemId)));
        Assert.All(items, item => Assert.True(MeshId.IsValid(item.AuthorId), item.AuthorId));
    }

    private void WriteCsv() => _files
        .Write("ratings.csv", "userId,movieId,rating,timestamp", "1,1,4.0,3000", "1,11,3.5,2000", "2,1,2.5,1000")
        .Write("movies.csv", "movieId,title,genres", "1,\"Toy \"\"Story\"\" (1995)\",Children's|Sci-Fi", "11,\"American President, The (1995)\",Comedy", "7,Untitled,(no genres listed)");
}
