using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Mesh.Numerics;

namespace Mesh.Benchmarks.Ann;

/// <summary>
/// Seeded unit vectors around 2,000 centres, queries drawn alike, and six attributes of Zipf-distributed values. The same sizes and seed
/// give the same numbers on any number of cores.
/// <list type="bullet">
/// <item>easy: centres within 60 super-centres, sizes by Zipf^0.5, noise of norm 0.35-0.8 whose deviation falls as j^-0.8 along axes that
/// all clusters share. So embeddings of a trained model lie.</item>
/// <item>hard: random centres of equal sizes, isotropic noise of norm 0.6-1.4. Close to the worst for any index of clusters.</item>
/// </list>
/// </summary>
internal sealed class AnnData
{
    /// <summary>Values of each attribute; a third of the last one's follow the cluster.</summary>
    public static readonly int[] Cardinalities = [2, 5, 20, 100, 1_000, 30];

    private const int Clusters = 2_000, SuperCentres = 60, BlockRows = 4_096;
    private const int HashedBytes = 1 << 24;

    private readonly bool _isEasy;
    private readonly int _seed;
    private readonly float[] _centres;   // [clusters, dimensions]
    private readonly float[] _norms;     // of the noise, by cluster
    private readonly double[] _sizes;    // cumulative
    private readonly float[]? _axes;     // [dimensions, dimensions], the noise's, orthonormal; null where it is isotropic
    private readonly float[] _deviations;
    private readonly AlignedBuffer<float> _vectors;

    /// <exception cref="ArgumentException">The kind is none of the two, or the sizes are out of bounds.</exception>
    public AnnData(string kind, int rows, int dimensions, int queries, int seed)
    {
        if (kind is not ("easy" or "hard")) throw new ArgumentException($"--data is '{kind}'; it is easy or hard.");
        if (rows is < 1_000 or > 20_000_000) throw new ArgumentException($"--rows is {rows}; it is 1,000 to 20,000,000.");
        if (dimensions is < 4 or > 1_024 || (long)rows * dimensions > 500_000_000) throw new ArgumentException($"--dimensions is {dimensions}; it is 4 to 1,024, and 500,000,000 numbers at most.");
        if (queries is < 16 or > 10_000) throw new ArgumentException($"--queries is {queries}; it is 16 to 10,000.");

        (Kind, Rows, Dimensions, _seed, _isEasy) = (kind, rows, dimensions, seed, kind == "easy");
        var random = new Random(seed);
        _sizes = Cumulative(Clusters, _isEasy ? 0.5 : 0);
        _norms = [.. Enumerable.Range(0, Clusters).Select(_ => _isEasy ? 0.35f + (0.45f * random.NextSingle()) : 0.6f + (0.8f * random.NextSingle()))];
        _deviations = [.. Enumerable.Range(1, dimensions).Select(j => (float)Math.Pow(j, _isEasy ? -0.8 : 0))];
        TensorPrimitives.Divide(_deviations, TensorPrimitives.Norm(_deviations), _deviations);
        _axes = _isEasy ? Orthonormal(dimensions, random) : null;
        _centres = Centres(random);
        _vectors = new AlignedBuffer<float>(rows * dimensions);
        Values = [.. Cardinalities.Select(_ => new ushort[rows])];
        Parallel.For(0, (rows + BlockRows - 1) / BlockRows, MakeBlock);
        Queries = new float[queries * dimensions];
        for (int q = 0; q < queries; q++) Draw(random, Queries.AsSpan(q * dimensions, dimensions));
    }

    public string Kind { get; }

    public int Rows { get; }

    public int Dimensions { get; }

    /// <summary>Names the data, by what they hold: whoever keeps something made of them files it under this.</summary>
    public string Key
    {
        get
        {
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(Vectors);
            return $"{Kind}-{Rows}x{Dimensions}-{Convert.ToHexStringLower(SHA256.HashData(bytes[..Math.Min(bytes.Length, HashedBytes)]))[..8]}";
        }
    }

    /// <summary>[rows, dimensions]</summary>
    public ReadOnlySpan<float> Vectors => _vectors.Span;

    /// <summary>[queries, dimensions]</summary>
    public float[] Queries { get; }

    public int QueryCount => Queries.Length / Dimensions;

    /// <summary>Value of a row by attribute: [attribute][row].</summary>
    public ushort[][] Values { get; }

    public ReadOnlySpan<float> Vector(int row) => _vectors.Span.Slice(row * Dimensions, Dimensions);

    public ReadOnlySpan<float> Query(int query) => Queries.AsSpan(query * Dimensions, Dimensions);

    private void MakeBlock(int block)
    {
        var random = new Random((_seed * 1_000_003) + block + 1);
        double[][] zipf = [.. Cardinalities.Select(count => Cumulative(count, 1))];
        for (int row = block * BlockRows; row < Math.Min(Rows, (block + 1) * BlockRows); row++)
        {
            int cluster = Draw(random, _vectors.Span.Slice(row * Dimensions, Dimensions));
            for (int a = 0; a < Values.Length; a++)
            {
                bool follows = a == Values.Length - 1 && random.Next(3) == 0;
                Values[a][row] = (ushort)(follows ? cluster % Cardinalities[a] : Pick(zipf[a], random));
            }
        }
    }

    private int Draw(Random random, Span<float> vector)
    {
        int cluster = Pick(_sizes, random);
        _centres.AsSpan(cluster * Dimensions, Dimensions).CopyTo(vector);
        float norm = _norms[cluster];
        for (int d = 0; d < Dimensions; d++)
        {
            float noise = norm * _deviations[d] * Normal(random);
            if (_axes is null) vector[d] += noise;
            else TensorPrimitives.MultiplyAdd(_axes.AsSpan(d * Dimensions, Dimensions), noise, vector, vector);
        }

        ToUnit(vector);
        return cluster;
    }

    private float[] Centres(Random random)
    {
        float[] super = Directions(SuperCentres, random), centres = Directions(Clusters, random);
        for (int c = 0; c < Clusters && _isEasy; c++)
        {
            Span<float> centre = centres.AsSpan(c * Dimensions, Dimensions);
            TensorPrimitives.MultiplyAdd(centre, 0.7f, super.AsSpan(random.Next(SuperCentres) * Dimensions, Dimensions), centre);
            ToUnit(centre);
        }

        return centres;
    }

    private float[] Directions(int count, Random random)
    {
        float[] directions = [.. Enumerable.Range(0, count * Dimensions).Select(_ => Normal(random))];
        for (int i = 0; i < count; i++) ToUnit(directions.AsSpan(i * Dimensions, Dimensions));
        return directions;
    }

    // Gram and Schmidt on random directions.
    private static float[] Orthonormal(int dimensions, Random random)
    {
        float[] axes = [.. Enumerable.Range(0, dimensions * dimensions).Select(_ => Normal(random))];
        for (int i = 0; i < dimensions; i++)
        {
            Span<float> axis = axes.AsSpan(i * dimensions, dimensions);
            for (int j = 0; j < i; j++)
            {
                ReadOnlySpan<float> before = axes.AsSpan(j * dimensions, dimensions);
                TensorPrimitives.MultiplyAdd(before, -TensorPrimitives.Dot(before, axis), axis, axis);
            }

            ToUnit(axis);
        }

        return axes;
    }

    private static void ToUnit(Span<float> vector) => TensorPrimitives.Divide(vector, TensorPrimitives.Norm<float>(vector), vector);

    // Box and Muller.
    private static float Normal(Random random) =>
        MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())) * MathF.Cos(2 * MathF.PI * random.NextSingle());

    // Shares of ranks 1..count by rank^-exponent, summed up.
    private static double[] Cumulative(int count, double exponent)
    {
        var sums = new double[count];
        double sum = 0;
        for (int i = 0; i < count; i++) sums[i] = sum += Math.Pow(i + 1, -exponent);
        TensorPrimitives.Divide(sums, sum, sums);
        return sums;
    }

    private static int Pick(double[] cumulative, Random random)
    {
        int at = Array.BinarySearch(cumulative, random.NextDouble());
        return Math.Min(at < 0 ? ~at : at + 1, cumulative.Length - 1);
    }
}
