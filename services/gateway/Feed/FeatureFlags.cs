using System.Text;
using Mesh.Gateway.Pipeline;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Feed;

/// <summary>
/// Which arm of each flag a user is in: a hash of flag and user against the arms' shares. No state, so every gateway
/// agrees, a user stays in an arm, and flags are independent of each other. Raising one share moves users only across the
/// borders it shifts.
/// </summary>
internal sealed class FeatureFlags(IOptions<GatewayOptions> options)
{
    private const int Buckets = 10_000; // 0.01 percent each

    private readonly IReadOnlyList<FlagOptions> _flags = options.Value.Flags is { Count: > 0 } flags
        ? flags
        : [new FlagOptions { Name = FeedQuery.RankerFlag, Arms = [new ArmOptions { Name = "transformer", Percent = 100 }] }];

    public IReadOnlyDictionary<string, string> ArmsOf(string userId) =>
        _flags.ToDictionary(flag => flag.Name, flag => ArmOf(flag, userId), StringComparer.Ordinal);

    private static string ArmOf(FlagOptions flag, string userId)
    {
        double position = Bucket(flag.Name, userId) * (100.0 / Buckets);
        double border = 0;
        foreach (ArmOptions arm in flag.Arms)
        {
            border += arm.Percent;
            if (position < border) return arm.Name;
        }

        return flag.Arms[^1].Name; // shares such as 33.33 x 3 leave a rounding gap at the end
    }

    internal static int Bucket(string flag, string userId)
    {
        ulong hash = 14695981039346656037;
        foreach (byte value in Encoding.UTF8.GetBytes($"{flag}/{userId}")) hash = (hash ^ value) * 1099511628211;

        // FNV-1a leaves the low bits of similar ids similar; one round of mixing spreads them (murmur3's finaliser).
        hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
        hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
        return (int)((hash ^ (hash >> 33)) % Buckets);
    }
}
