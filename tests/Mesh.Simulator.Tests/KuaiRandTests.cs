using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.KuaiRand;
using Mesh.Simulator.Rest;
using Mesh.Testing;

namespace Mesh.Simulator.Tests;

public sealed class KuaiRandTests : IDisposable
{
    private const string LogHeader =
        "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab";

    private const string VideoHeader = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,music_id,music_type,tag";

    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void A_video_becomes_an_item()
    {
        Write("1,2,20220425,0,1000,1,0,0,0,0,0,0,5,10,0,0,0,0,1");

        ItemBody[] items = [.. KuaiRandDataSet.Open(_files.Folder).Items()];

        Assert.Equal(("kr:v2", "kr:a77", 87_433L, new DateTimeOffset(2022, 4, 10, 0, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds()), (items[0].ItemId, items[0].AuthorId, items[0].DurationMs!.Value, items[0].CreatedAt!.Value));
        Assert.Equal(["tag20", "tag43"], items[0].Tags);
        Assert.Equal("Web", items[0].Attributes!["uploadType"]);
        Assert.Null(items[1].DurationMs);
    }

    [Fact]
    public void Every_signal_of_a_row_becomes_one_action()
    {
        Write("1,2,20220425,0,1000,1,1,1,1,1,1,1,12500,10000,0,0,1,0,4");

        EventBody[] events = [.. KuaiRandDataSet.Open(_files.Folder).Events()];

        Assert.Equal(["click", "dwell", "video_complete", "like", "follow_author", "reply", "share", "profile_click", "not_interested"], events.Select(row => row.Action));
        Assert.Equal(12.5f, events.Single(row => row.Action == "dwell").Value);
        Assert.All(events, row => Assert.Equal(("kr:u1", "kr:v2", 1000L, "kuairand-tab4"), (row.UserId, row.ItemId, row.Time, row.Surface)));
        Assert.All(events, row => Assert.True(ActionTaxonomy.Default.IndexOf(row.Action) >= 0));
        Assert.Equal(events.Length, events.Select(row => row.EventId).Distinct().Count());
    }

    [Fact]
    public void A_row_without_any_signal_gives_no_event()
    {
        Write("1,2,20220425,0,1000,0,0,0,0,0,0,0,5,10,0,0,0,0,1");

        Assert.Empty(KuaiRandDataSet.Open(_files.Folder).Events());
    }

    [Fact]
    public void Exact_duplicates_of_a_row_give_the_same_ids()
    {
        const string row = "1,2,20220425,0,1000,1,1,0,0,0,0,0,5,10,0,0,0,0,1";
        Write(row, row, "1,2,20220425,0,1001,1,1,0,0,0,0,0,5,10,0,0,0,0,1");

        string[] ids = [.. KuaiRandDataSet.Open(_files.Folder).Events().Select(found => found.EventId)];

        Assert.Equal(ids[..2], ids[2..4]);
        Assert.Equal(4, ids.Distinct().Count());
    }

    [Fact]
    public void Rows_limits_the_log_and_the_videos_to_those_it_names()
    {
        Write("1,3,20220425,0,1000,1,0,0,0,0,0,0,5,10,0,0,0,0,1", "1,2,20220425,0,2000,1,0,0,0,0,0,0,5,10,0,0,0,0,1");

        KuaiRandDataSet data = KuaiRandDataSet.Open(_files.Folder, rowsMax: 1);

        Assert.Equal(["kr:v3"], data.Items().Select(item => item.ItemId));
        Assert.Equal([1000], data.Events().Select(row => row.Time));
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(1000), data.LastEventAt());
    }

    [Fact]
    public void Several_logs_are_read_in_the_order_of_their_names()
    {
        Write("1,2,20220425,0,2000,1,0,0,0,0,0,0,5,10,0,0,0,0,1");
        _files.Write("log_standard_0408.csv", LogHeader, "1,2,20220408,0,1000,1,0,0,0,0,0,0,5,10,0,0,0,0,1");

        Assert.Equal([1000, 2000], KuaiRandDataSet.Open(_files.Folder).Events().Select(row => row.Time));
    }

    [Fact]
    public void A_folder_without_a_log_is_an_error()
    {
        DataException exception = Assert.Throws<DataException>(() => KuaiRandDataSet.Open(_files.Folder));

        Assert.Contains("log_standard*.csv", exception.Message, StringComparison.Ordinal);
    }

    [DataSetFact("kuairand-pure")]
    public void The_public_set_has_its_documented_counts_and_its_duplicates_fall_together()
    {
        KuaiRandDataSet data = KuaiRandDataSet.Open(DataSet.Folder("kuairand-pure"));
        ItemBody[] items = [.. data.Items()];
        var ids = new HashSet<string>();
        var counts = new Dictionary<string, int>();
        foreach (EventBody row in data.Events())
        {
            ids.Add(row.EventId);
            counts[row.Action] = counts.GetValueOrDefault(row.Action) + 1;
        }

        Assert.Equal((7_583, 6_510), (items.Length, items.Select(item => item.AuthorId).Distinct().Count()));
        Assert.Equal((100_900, 70_963, 3_915, 304), (counts["click"], counts["dwell"], counts["like"], counts["follow_author"]));
        Assert.Equal((579, 195, 190, 4_231), (counts["reply"], counts["share"], counts["not_interested"], counts["profile_click"]));
        Assert.True(ids.Count < counts.Values.Sum(), "exact duplicates share ids");
    }

    private void Write(params string[] rows) => _files
        .Write("log_standard_0425.csv", [LogHeader, .. rows])
        .Write("video_features_basic_pure.csv", VideoHeader, "2,77,NORMAL,2022-04-10,Web,0.0,87433.0,960.0,720.0,9148581891,9.0,\"20,43\"", "3,78,NORMAL,2022-04-10,PictureSet,0.0,,720.0,1440.0,6355540435,8.0,39");
}
