using System.Globalization;
using Mesh.Numerics;

namespace Mesh.Snapshots;

/// <summary>The codebooks of one model version as a safetensors file: <c>centroids</c> F32 [levels, codes, dimensions].</summary>
internal static class CodebooksFile
{
    private const string Centroids = "centroids";

    public static byte[] Write(ResidualCodebooks codebooks, IReadOnlyDictionary<string, string> metadata) => SafeTensors.Write(
        [SafeTensor.Of(Centroids, TensorType.F32, codebooks.Centroids, codebooks.Levels, codebooks.CodesPerLevel, codebooks.Dimensions)], metadata);

    public static (ResidualCodebooks Codebooks, IReadOnlyDictionary<string, string> Metadata) Read(ReadOnlyMemory<byte> file)
    {
        SafeTensors tensors = SafeTensors.Read(file);
        SafeTensor centroids = tensors.Require(Centroids, TensorType.F32, -1, -1, -1);
        try
        {
            var codebooks = new ResidualCodebooks(
                (int)centroids.Shape[0], (int)centroids.Shape[1], (int)centroids.Shape[2], centroids.Values<float>().ToArray());
            return (codebooks, tensors.Metadata);
        }
        catch (ArgumentException exception)
        {
            string shape = string.Join(',', centroids.Shape.Select(length => length.ToString(CultureInfo.InvariantCulture)));
            throw new SnapshotFormatException($"The codebooks [{shape}] cannot be used: {exception.Message}", exception);
        }
    }
}
