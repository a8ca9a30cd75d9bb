using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Inference.Features;
using Mesh.Snapshots;
using Mesh.Testing;

namespace Mesh.Inference.Tests;

public sealed class ModelPackageTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Every_graph_agrees_with_PyTorch_to_1e_4(int threads)
    {
        using InferenceRuntime runtime = Runtimes.Create(new InferenceOptions { IntraOpThreads = threads });
        using ModelPackage package = Runtimes.LoadMini(runtime);
        SafeTensors check = SafeTensors.Read(package.ReadFile(GoldenCheck.FileName));

        foreach (GraphSession session in new[] { package.Item, package.User, package.Context, package.Candidates })
        {
            float difference = GoldenCheck.Run(session, check, CancellationToken.None);

            Assert.True(difference <= 1e-4f, $"{session.Name} differs by {difference}");
        }
    }

    [Fact]
    public void Only_the_graphs_that_a_service_runs_stay_open()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Item);

        Assert.Equal("item.onnx", package.Item.Name);
        Assert.Empty(package.ContextState);
        Assert.Contains("without candidates.onnx", Assert.Throws<InvalidOperationException>(() => package.Candidates).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_with_one_bit_changed_is_refused_by_its_hash()
    {
        using var broken = new BrokenPackage();
        broken.Change("user.onnx", bytes => bytes[bytes.Length / 2] ^= 1);

        Refused(broken, "user.onnx has the sha256", ModelGraphs.Item); // even where the file is not needed
    }

    [Fact]
    public void A_file_cut_short_is_refused_by_its_length()
    {
        using var broken = new BrokenPackage();
        broken.Write("item.onnx", broken.Read("item.onnx")[..^100]);

        Refused(broken, "item.onnx has ");
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        using var broken = new BrokenPackage();
        File.Delete(Path.Combine(broken.Folder, "candidates.onnx"));

        Refused(broken, "candidates.onnx is not there");
    }

    [Fact]
    public void Bytes_that_are_no_graph_are_refused_though_their_hash_is_right()
    {
        using var broken = new BrokenPackage();
        broken.Write("context.onnx", [1, 2, 3, 4]);
        broken.Seal();

        Refused(broken, "context.onnx (4 bytes) is not a graph");
    }

    [Fact]
    public void Actions_in_another_order_are_refused()
    {
        using var broken = new BrokenPackage();
        broken.Manifest["actions"]!.AsArray().Insert(0, (JsonNode)"report");
        broken.Manifest["actions"]!.AsArray().RemoveAt(14);
        broken.Seal();

        Refused(broken, "actions are [report, like");
    }

    [Fact]
    public void A_version_that_the_files_do_not_make_is_refused()
    {
        using var broken = new BrokenPackage();
        broken.Manifest["version"] = "mini-00000000";
        broken.Save();

        Refused(broken, "version is 'mini-00000000'; its files make 'mini-");
    }

    [Theory]
    [InlineData("tokens_max", 33, "item.onnx takes tokens Int64[-1,32]")]
    [InlineData("history_max", 64, "user.onnx takes history_codes Int64[-1,128,3]")]
    [InlineData("gap_buckets", 31, "gap_buckets is 31")]
    public void Features_of_another_shape_than_the_graphs_are_refused(string setting, int value, string message)
    {
        using var broken = new BrokenPackage();
        broken.Manifest["features"]![setting] = value;
        broken.Seal();

        Refused(broken, message);
    }

    [Fact]
    public void All_faults_of_a_manifest_are_told_at_once()
    {
        using var broken = new BrokenPackage();
        broken.Manifest["format"] = 2;
        broken.Manifest["semantic_ids"]!["levels"] = 0;
        broken.Manifest["features"]!["prior_rates"]!.AsArray()[3] = 1.0;
        broken.Seal();

        ModelRejectedException refused = Assert.Throws<ModelRejectedException>(() => Load(broken));
        Assert.All(["format is 2", "semantic_ids.levels is 0", "prior_rates must be 14"], fault => Assert.Contains(fault, refused.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_manifest_without_a_section_is_refused()
    {
        using var broken = new BrokenPackage();
        broken.Manifest.Remove("semantic_ids");
        broken.Save();

        Refused(broken, "manifest.json cannot be read");
    }

    [Theory]
    [InlineData("candidates.out.probabilities", 0.01f, "candidates.onnx: 'probabilities' is ")]
    [InlineData("candidates.out.probabilities", float.NaN, "check.safetensors says NaN")]
    [InlineData("user.out.vectors", 0.01f, "user.onnx: 'vectors' is ")]
    [InlineData("candidates.in.candidate_dense", float.NaN, "candidates.onnx: 'probabilities' is NaN")]
    public void A_graph_that_gives_something_else_than_its_check_is_refused(string tensor, float change, string message)
    {
        using var broken = new BrokenPackage();
        broken.ChangeCheck(tensor, values => values[0] += change);
        broken.Seal();

        Refused(broken, message);
    }

    [Theory]
    [InlineData("item.onnx", ModelGraphs.Ranking, "item.onnx takes ")]
    [InlineData("user.onnx", ModelGraphs.Item, "user.onnx takes ")]
    [InlineData("context.onnx", ModelGraphs.Item, "no tensor 'context.out.")]
    [InlineData("candidates.onnx", ModelGraphs.User, "candidates.onnx takes ")]
    public void A_graph_that_breaks_the_contract_is_refused_by_services_that_do_not_run_it_too(string file, ModelGraphs graphs, string message)
    {
        using var broken = new BrokenPackage();
        broken.Write(file, broken.Read(file == "item.onnx" ? "user.onnx" : "item.onnx"));
        broken.Seal();

        Refused(broken, message, graphs);
    }

    [Theory]
    [InlineData("item.out.vector", ModelGraphs.Ranking)]
    [InlineData("user.out.vectors", ModelGraphs.Item)]
    [InlineData("candidates.out.probabilities", ModelGraphs.Item)]
    public void Golden_pairs_of_graphs_that_a_service_does_not_run_are_run_all_the_same(string tensor, ModelGraphs graphs)
    {
        using var broken = new BrokenPackage();
        broken.ChangeCheck(tensor, values => values[0] += 0.01f);
        broken.Seal();

        Refused(broken, "They may differ by", graphs);
    }

    [Theory]
    [InlineData("item.in.tokens")]
    [InlineData("user.out.vectors")]
    [InlineData("context.out.user")]
    [InlineData("candidates.out.probabilities")]
    public void A_golden_tensor_without_elements_is_refused(string tensor)
    {
        using var broken = new BrokenPackage();
        broken.ReplaceInCheck(tensor, old => old.Type == TensorType.F32
            ? SafeTensor.Of<float>(tensor, old.Type, [], [0, .. old.Shape.Skip(1)])
            : SafeTensor.Of<long>(tensor, old.Type, [], [0, .. old.Shape.Skip(1)]));
        broken.Seal();

        Refused(broken, $"'{tensor}' is ");
    }

    [Fact]
    public void A_golden_output_of_another_type_or_shape_than_the_graph_gives_is_refused()
    {
        using var other = new BrokenPackage();
        other.ReplaceInCheck("item.out.codes", old => SafeTensor.Of<float>(old.Name, TensorType.F32, new float[3], [1, 3]));
        other.Seal();
        using var batch = new BrokenPackage();
        batch.ReplaceInCheck("candidates.out.probabilities", old => SafeTensor.Of<float>(old.Name, TensorType.F32, new float[7 * 9 * 14], [7, 9, 14]));
        batch.Seal();

        Refused(other, "'item.out.codes' is F32[1,3]; item.onnx gives codes Int64[-1,3]");
        Refused(batch, "The model in ");
    }

    [Fact]
    public void A_graph_that_fails_its_run_is_refused()
    {
        using var broken = new BrokenPackage();
        broken.Write("user.onnx", TestGraphs.FailingUserTower(Mini()));
        broken.Seal();

        Refused(broken, "indices element out of data bounds");
    }

    [Fact]
    public void A_graph_for_one_length_only_where_requests_differ_is_refused()
    {
        using var broken = new BrokenPackage();
        broken.Write("user.onnx", TestGraphs.UserTower(Mini(), batch: 1));
        broken.Seal();

        Refused(broken, "user.onnx takes history_mask Float[1,128]; the manifest makes it history_mask Float[-1,128]");
    }

    [Theory]
    [InlineData("null", "files has an entry that is null")]
    [InlineData("""{"name":"item.onnx","bytes":1,"sha256":""}""", "files names 'item.onnx' 2 times")]
    [InlineData("""{"name":"../a","bytes":1,"sha256":""}""", "'../a' is not the name of a file")]
    public void A_list_of_files_that_cannot_be_read_is_refused(string entry, string message)
    {
        using var broken = new BrokenPackage();
        broken.Manifest["files"]!.AsArray().Insert(0, JsonNode.Parse(entry));
        broken.Save();

        Refused(broken, message);
    }

    [Fact]
    public void A_check_without_one_of_the_tensors_is_refused()
    {
        using var broken = new BrokenPackage();
        SafeTensors check = SafeTensors.Read(broken.Read(GoldenCheck.FileName));
        broken.Write(GoldenCheck.FileName, SafeTensors.Write(check.Names.Where(name => name != "item.in.tokens").Select(name => check.Find(name)!)));
        broken.Seal();

        Refused(broken, "no tensor 'item.in.tokens'");
    }

    [Fact]
    public async Task The_user_tower_opens_from_the_bytes_of_a_snapshot_and_gives_unit_vectors()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.None);
        using UserTower tower = UserTower.Open(package.ReadFile("user.onnx"), package.ManifestJson.Span, runtime, CancellationToken.None);

        float[] vectors = await tower.EncodeAsync(null, new Dictionary<string, HistoryItem>(), CancellationToken.None);

        Assert.Equal(tower.Vectors * tower.Dimensions, vectors.Length);
        Assert.All(vectors.Chunk(tower.Dimensions), vector => Assert.Equal(1, vector.Sum(value => value * value), 1e-4f));
    }

    [Fact]
    public void A_user_tower_of_another_manifest_is_refused()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.None);

        ModelRejectedException refused = Assert.Throws<ModelRejectedException>(
            () => UserTower.Open(package.ReadFile("item.onnx"), package.ManifestJson.Span, runtime, CancellationToken.None));

        Assert.Contains("user.onnx has ", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_user_tower_that_fails_its_first_run_is_refused()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using var broken = new BrokenPackage();
        broken.Write("user.onnx", TestGraphs.FailingUserTower(Mini()));
        broken.Seal();

        ModelRejectedException refused = Assert.Throws<ModelRejectedException>(
            () => UserTower.Open(broken.Read("user.onnx"), broken.Read(ModelManifest.FileName), runtime, CancellationToken.None));

        Assert.Contains("user.onnx of mini-", refused.Message, StringComparison.Ordinal);
        Assert.Contains("indices element out of data bounds", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Codebooks_are_those_that_the_item_graph_quantises_with()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Item);

        Assert.Equal(package.Manifest.SemanticIds, new SemanticIdShape(package.ReadCodebooks().Levels, package.ReadCodebooks().CodesPerLevel));
    }

    [Theory]
    [InlineData("../etc")]
    [InlineData("/etc")]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("mini/../..")]
    [InlineData("a/b")] // a package there would not be found by its version
    [InlineData("a\0b")]
    public void What_is_not_one_folder_name_is_no_package(string path)
    {
        ModelRejectedException refused = Assert.Throws<ModelRejectedException>(() => new ModelFolder("/srv/models").Resolve(path));

        Assert.Contains("is not one folder name", refused.Message, StringComparison.Ordinal);
        Assert.False(refused.MayCome);
    }

    [Fact]
    public void A_package_that_is_not_there_may_come()
    {
        using var folder = new TempFolder();

        Assert.True(Assert.Throws<ModelRejectedException>(() => new ModelFolder(folder.Path).Resolve("next")).MayCome);
        folder.Write("next/manifest.json", "{}");
        Assert.Equal(folder.In("next"), new ModelFolder(folder.Path).Resolve("next"));
    }

    [Fact]
    public void Models_are_found_above_the_content_root_unless_configured()
    {
        using var folder = new TempFolder();
        folder.Write("models/mini/manifest.json", "{}");
        string content = Directory.CreateDirectory(folder.In("services", "ranker")).FullName;

        Assert.Equal(folder.In("models"), ModelFolder.Find(new ModelsOptions(), content).Path);
        Assert.Equal(folder.In("services", "other"), ModelFolder.Find(new ModelsOptions { Root = "../other" }, content).Path);
        Assert.Equal([folder.In("models", "mini")], ModelFolder.Find(new ModelsOptions(), content).Packages());
    }

    private static ModelManifest Mini() => ModelPackage.ReadManifest(Runtimes.MiniFolder);

    private static void Refused(BrokenPackage package, string message, ModelGraphs graphs = ModelGraphs.Item | ModelGraphs.User | ModelGraphs.Ranking) =>
        Assert.Contains(message, Assert.Throws<ModelRejectedException>(() => Load(package, graphs)).Message, StringComparison.Ordinal);

    private static void Load(BrokenPackage package, ModelGraphs graphs = ModelGraphs.Item | ModelGraphs.User | ModelGraphs.Ranking)
    {
        using InferenceRuntime runtime = Runtimes.Create();
        ModelPackage.Load(package.Folder, graphs, runtime, CancellationToken.None).Dispose();
    }

    /// <summary>A copy of models/mini to damage.</summary>
    private sealed class BrokenPackage : IDisposable
    {
        private readonly TempFolder _temp = new();

        public BrokenPackage()
        {
            foreach (string file in Directory.GetFiles(Runtimes.MiniFolder)) File.Copy(file, Path.Combine(Folder, Path.GetFileName(file)));
            Manifest = JsonNode.Parse(Read(ModelManifest.FileName))!.AsObject();
        }

        public JsonObject Manifest { get; }

        public string Folder => _temp.Path;

        public byte[] Read(string name) => File.ReadAllBytes(Path.Combine(Folder, name));

        public void Write(string name, byte[] content) => File.WriteAllBytes(Path.Combine(Folder, name), content);

        public void Change(string name, Action<byte[]> change)
        {
            byte[] content = Read(name);
            change(content);
            Write(name, content);
        }

        public void ChangeCheck(string tensor, Action<float[]> change) => ReplaceInCheck(tensor, old =>
        {
            float[] values = old.Values<float>().ToArray();
            change(values);
            return SafeTensor.Of<float>(tensor, TensorType.F32, values, [.. old.Shape]);
        });

        public void ReplaceInCheck(string tensor, Func<SafeTensor, SafeTensor> change)
        {
            SafeTensors check = SafeTensors.Read(Read(GoldenCheck.FileName));
            SafeTensor changed = change(check.Find(tensor)!);
            Write(GoldenCheck.FileName, SafeTensors.Write(check.Names.Select(name => name == tensor ? changed : check.Find(name)!)));
        }

        public void Save() => Write(ModelManifest.FileName, System.Text.Encoding.UTF8.GetBytes(Manifest.ToJsonString()));

        /// <summary>Makes hashes and version right again, so that only the damage itself is left to find.</summary>
        public void Seal()
        {
            var files = new List<ModelFile>();
            foreach (JsonNode? entry in Manifest["files"]!.AsArray())
            {
                byte[] content = Read((string)entry!["name"]!);
                files.Add(new ModelFile((string)entry["name"]!, content.Length, Convert.ToHexStringLower(SHA256.HashData(content))));
                (entry["bytes"], entry["sha256"]) = (files[^1].Bytes, files[^1].Sha256);
            }

            Manifest["version"] = ModelManifest.VersionOf("mini", files);
            Save();
        }

        public void Dispose() => _temp.Dispose();
    }
}
