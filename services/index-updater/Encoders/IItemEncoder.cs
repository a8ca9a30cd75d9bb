using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>What an item is found by.</summary>
/// <param name="Vector">Dimensions x float32, L2 norm 1; zeros where the encoder could not make one.</param>
/// <param name="Codes">Semantic ID; null where the encoder has no codebooks of its own, or could not make one.</param>
internal readonly record struct EncodedItem(ByteString Vector, ushort[]? Codes);

/// <summary>Turns items into what they are found by. Pure: the same item gives the same vector in every process, alone or among others.</summary>
internal interface IItemEncoder
{
    /// <summary>Names the function, such as <c>hash64-1</c>. Vectors of two versions are never compared.</summary>
    string ModelVersion { get; }

    int Dimensions { get; }

    /// <summary>Books that its codes come from; null where they are fitted to the catalogue here.</summary>
    ResidualCodebooks? Codebooks { get; }

    /// <summary>What makes query vectors for its item vectors; null where there is none.</summary>
    SnapshotTower? Tower { get; }

    /// <summary>As many as items, in their order.</summary>
    EncodedItem[] Encode(IReadOnlyList<Item> items);
}
