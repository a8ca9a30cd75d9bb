using Mesh.Sidecar.Actors;
using Mesh.Sidecar.Bindings;
using Mesh.Sidecar.Health;
using Mesh.Sidecar.Invocation;
using Mesh.Sidecar.Metadata;
using Mesh.Sidecar.PubSub;
using Mesh.Sidecar.State;

namespace Mesh.Sidecar.Runtime;

/// <summary>The building blocks that every sidecar has, in the order they start.</summary>
internal static class BuildingBlocks
{
    public static IReadOnlyList<IBuildingBlock> Create(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var blocks = new List<IBuildingBlock>
        {
            new HealthBlock(context),
            new StateBlock(context),
            new BindingsBlock(context),
            new InvocationBlock(context),
            new ActorsBlock(context),
            new PubSubBlock(context),
        };
        blocks.Add(new MetadataBlock(context, blocks));
        return blocks;
    }
}
