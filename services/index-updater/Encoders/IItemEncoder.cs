using Mesh.Contracts;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>Turns an item into the vector that it is found by. Pure: the same item gives the same vector in every process.</summary>
internal interface IItemEncoder
{
    /// <summary>Names the function, such as <c>hash64-1</c>. Vectors of two versions are never compared.</summary>
    string ModelVersion { get; }

    int Dimensions { get; }

    /// <summary>[Dimensions], L2 norm 1.</summary>
    float[] Encode(Item item);
}
