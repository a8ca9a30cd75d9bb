using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Names what gives an item its place in the index: the encoder, and the codebooks by a hash of their content, such as
/// <c>hash64-1+rq3x256-1f2e3d4c</c>. Two indexes with one model version can be compared.
/// </summary>
internal static class ModelVersions
{
    public static string Of(string encoder, ResidualCodebooks? codebooks)
    {
        if (codebooks is null) return encoder;

        byte[] hash = SHA256.HashData(MemoryMarshal.AsBytes(codebooks.Centroids));
        return string.Create(
            CultureInfo.InvariantCulture, $"{encoder}+rq{codebooks.Levels}x{codebooks.CodesPerLevel}-{Convert.ToHexStringLower(hash.AsSpan(0, 4))}");
    }

    public static string EncoderOf(string modelVersion) => modelVersion.Split('+')[0];
}
