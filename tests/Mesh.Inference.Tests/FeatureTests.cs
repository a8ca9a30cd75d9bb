using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Inference.Features;
using Mesh.Numerics;

namespace Mesh.Inference.Tests;

/// <summary>The golden file is written by training/feedmesh/golden.py: what a model was trained on and what it is served must be equal.</summary>
public sealed class FeatureTests
{
    private static readonly JsonObject Golden = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "features.json")))!.AsObject();
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };
    private static readonly FeatureSettings Settings = Golden["features"].Deserialize<FeatureSettings>(Json)!;
    private static readonly SemanticIdShape Shape = new((int)Golden["levels"]!, 64);

    [Fact]
    public void Hashes_and_buckets_equal_those_of_training()
    {
        foreach (JsonNode? row in Golden["hashes"]!.AsArray())
        {
            ulong hash = FeatureHash.Compute(((string)row!["field"]!)[0], (string)row["token"]!);

            Assert.Equal((string)row["hash"]!, hash.ToString(System.Globalization.CultureInfo.InvariantCulture));
            Assert.Equal(((long)row["first"]!, (long)row["second"]!), (FeatureHash.Bucket(hash, 0, 4096), FeatureHash.Bucket(hash, 1, 4096)));
        }

        foreach ((string surface, JsonNode? bucket) in Golden["surfaces"]!.AsObject()) Assert.Equal((long)bucket!, CandidateFeatures.SurfaceOf(surface));
        foreach ((string ms, JsonNode? bucket) in Golden["time_buckets"]!.AsObject())
        {
            Assert.Equal((long)bucket!, TimeBuckets.Of(long.Parse(ms, System.Globalization.CultureInfo.InvariantCulture)));
        }
    }

    [Fact]
    public void Words_equal_those_of_training()
    {
        foreach (JsonNode? row in Golden["tokens"]!.AsArray())
        {
            Assert.Equal(row!["tokens"].Deserialize<string[]>(), Tokenizer.Tokenize((string)row["text"]!));
            Assert.Equal(row["first_two"].Deserialize<string[]>(), Tokenizer.Tokenize((string)row["text"]!, 2));
        }
    }

    [Fact]
    public void Item_tokens_equal_those_of_training()
    {
        foreach (JsonNode? row in Golden["items"]!.AsArray())
        {
            var tokens = new long[Settings.TokensMax];
            tokens.AsSpan().Fill(77); // what lay there before must not stay

            ItemFeatures.Write(Parse<Item>(row!["item"]!), Settings, tokens);

            Assert.Equal(row["tokens"].Deserialize<long[]>(), tokens);
        }
    }

    public static TheoryData<string> Histories => [.. Golden["histories"]!.AsArray().Select(row => (string)row!["name"]!)];

    [Theory, MemberData(nameof(Histories))]
    public void History_tokens_equal_those_of_training(string name)
    {
        JsonNode row = Golden["histories"]!.AsArray().Single(row => (string)row!["name"]! == name)!;
        var items = Golden["history_items"]!.AsArray().Select(item => Parse<HistoryItem>(item!)).ToDictionary(item => item.ItemId);
        var tensors = new HistoryTensors(Settings, Shape, batch: 2);

        HistoryFeatures.Write(ParseSequence(row), items, Settings, Shape, tensors, row: 1);

        foreach ((string tensor, JsonNode? expected) in row["expected"]!.AsObject()) AssertEqual(Flatten(expected!), tensors.ByName[tensor], tensor);
    }

    [Fact]
    public void A_row_written_again_holds_nothing_of_the_user_before()
    {
        JsonNode longest = Golden["histories"]!.AsArray().Single(row => (string)row!["name"]! == "longer than L")!;
        var items = Golden["history_items"]!.AsArray().Select(item => Parse<HistoryItem>(item!)).ToDictionary(item => item.ItemId);
        var used = new HistoryTensors(Settings, Shape, batch: 1);
        HistoryFeatures.Write(ParseSequence(longest), items, Settings, Shape, used, row: 0);

        HistoryFeatures.Write(null, items, Settings, Shape, used, row: 0);

        var fresh = new HistoryTensors(Settings, Shape, batch: 1);
        foreach ((string name, TensorBuffer buffer) in used.ByName) Assert.True(buffer.AllBytes.SequenceEqual(fresh.ByName[name].AllBytes), name);
    }

    [Fact]
    public void Random_histories_merge_as_the_obvious_reference_does()
    {
        var random = new Random(7);
        for (int round = 0; round < 300; round++)
        {
            Sequence sequence = RandomSequence(random, random.Next(1, 60));
            var tensors = new HistoryTensors(Settings, Shape, batch: 1);

            HistoryFeatures.Write(sequence, new Dictionary<string, HistoryItem>(), Settings, Shape, tensors, row: 0);

            List<(long Time, HashSet<int> Actions)> expected = ReferenceTokens(sequence);
            int kept = Math.Min(expected.Count, Settings.HistoryMax);
            Assert.Equal(kept, tensors.Mask.Floats.ToArray().Sum());
            long newest = expected.Count == 0 ? 0 : expected.Max(token => token.Time);
            for (int i = 0; i < kept; i++)
            {
                (long time, HashSet<int> actions) = expected[expected.Count - kept + i];
                int position = Settings.HistoryMax - kept + i;
                Assert.Equal(TimeBuckets.Of(newest - time), tensors.Gaps.Longs[position]);
                Assert.Equal(actions.Order(), Enumerable.Range(0, 14).Where(action => tensors.Actions.Floats[(position * 14) + action] == 1));
            }
        }
    }

    [Fact]
    public void Candidate_features_equal_those_of_training()
    {
        JsonArray rows = Golden["candidates"]!.AsArray();
        var tensors = new CandidateTensors(Shape, batch: 1, rows: rows.Count);
        for (int i = 0; i < rows.Count; i++)
        {
            CandidateFeatures.Write(Parse<Candidate>(rows[i]!["candidate"]!), (long)Golden["now_ms"]!, halfLifeHours: 0, Settings, Shape, tensors, i);
        }

        for (int i = 0; i < rows.Count; i++)
        {
            JsonNode expected = rows[i]!["expected"]!;
            Assert.Equal(expected["codes"].Deserialize<long[]>(), tensors.Codes.Longs.Slice(i * Shape.Levels, Shape.Levels).ToArray());
            Assert.Equal(expected["authors"].Deserialize<long[]>(), tensors.Authors.Longs.Slice(i * 2, 2).ToArray());
            Assert.Equal((long)expected["age"]!, tensors.Ages.Longs[i]);
            float[] dense = expected["dense"].Deserialize<float[]>()!;
            for (int d = 0; d < dense.Length; d++) Assert.Equal(dense[d], tensors.Dense.Floats[(i * CandidateTensors.DenseCount) + d], 1e-6f);
        }
    }

    [Fact]
    public void Codes_that_the_tables_cannot_hold_are_unknown()
    {
        var tensors = new CandidateTensors(Shape, batch: 1, rows: 2);

        CandidateFeatures.Write(new Candidate { Codes = { 1, 64, 2 } }, 0, 24, Settings, Shape, tensors, 0);
        CandidateFeatures.Write(new Candidate { Codes = { 1, 2 } }, 0, 24, Settings, Shape, tensors, 1);

        Assert.Equal([-1, -1, -1, -1, -1, -1], tensors.Codes.Longs.ToArray());
    }

    private static Sequence RandomSequence(Random random, int events)
    {
        var sequence = new Sequence { SurfaceNames = { "home" } };
        var actions = new byte[events];
        long time = 1_700_000_000_000;
        for (int i = 0; i < events; i++)
        {
            time += random.Next(0, 900_000);
            sequence.ItemIds.Add($"item-{random.Next(5)}");
            sequence.TimesMs.Add(time);
            sequence.Values.Add(0);
            sequence.Surfaces.Add(0);
            actions[i] = (byte)random.Next(16);
        }

        sequence.Actions = ByteString.CopyFrom(actions);
        return sequence;
    }

    // Slow and obvious: looks back through all tokens for the latest of the item.
    private static List<(long Time, HashSet<int> Actions)> ReferenceTokens(Sequence sequence)
    {
        var tokens = new List<(string Item, long First, long Last, HashSet<int> Actions)>();
        for (int i = 0; i < sequence.ItemIds.Count; i++)
        {
            if (sequence.Actions[i] > 13) continue;
            int place = tokens.FindLastIndex(token => token.Item == sequence.ItemIds[i]);
            long time = sequence.TimesMs[i];
            if (place < 0 || time > tokens[place].First + Settings.MergeWindowMs)
            {
                tokens.Add((sequence.ItemIds[i], time, time, [sequence.Actions[i]]));
                continue;
            }

            tokens[place].Actions.Add(sequence.Actions[i]);
            tokens[place] = tokens[place] with { Last = time };
        }

        return [.. tokens.Select(token => (token.Last, token.Actions))];
    }

    private static void AssertEqual(double[] expected, TensorBuffer buffer, string name)
    {
        double[] row = buffer.Element == TensorElement.Float
            ? [.. buffer.Floats[(buffer.Length / 2)..].ToArray().Select(value => (double)value)]
            : [.. buffer.Longs[(buffer.Length / 2)..].ToArray().Select(value => (double)value)];
        Assert.Equal(expected.Length, row.Length);
        for (int i = 0; i < expected.Length; i++) Assert.True(Math.Abs(expected[i] - row[i]) <= 1e-6, $"{name}[{i}] is {row[i]}; training has {expected[i]}.");
    }

    private static double[] Flatten(JsonNode node) => node is JsonArray array ? [.. array.SelectMany(child => Flatten(child!))] : [node.GetValue<double>()];

    // Actions are bytes in the message, and numbers in the file: people read it.
    private static Sequence ParseSequence(JsonNode row)
    {
        JsonObject json = row["sequence"]!.DeepClone().AsObject();
        json["actions"] = Convert.ToBase64String([.. json["actions"].Deserialize<int[]>()!.Select(action => (byte)action)]);
        return Parse<Sequence>(json);
    }

    private static T Parse<T>(JsonNode json) where T : IMessage<T>, new() => JsonParser.Default.Parse<T>(json.ToJsonString());
}
