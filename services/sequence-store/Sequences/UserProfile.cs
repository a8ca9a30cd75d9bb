using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

internal enum ProfileOutcome
{
    /// <summary>The profile says what was asked for; it may have said so before.</summary>
    Done = 0,

    /// <summary>The list holds <see cref="Limits.ProfileListMax"/> entries already.</summary>
    ListFull = 1,
}

/// <summary>Changes users' social profiles: follows, mutes, blocks, muted words. One caller at a time for one user.</summary>
internal sealed class UserProfile(IUserStateStore store)
{
    public const int WordLengthMax = 100;

    /// <summary>What is wrong with a change; empty = nothing.</summary>
    public static string FaultOf(ProfileChange change) => change.List switch
    {
        ProfileList.Follows or ProfileList.Mutes or ProfileList.Blocks => MeshId.IsValid(change.Value) ? "" : $"value must be an author id: {MeshId.Rule}",
        ProfileList.MutedWords => change.Value.Length is > 0 and <= WordLengthMax && !string.IsNullOrWhiteSpace(change.Value)
            ? "" : $"value must be a word of 1-{WordLengthMax} characters",
        _ => "list must be follows, mutes, blocks or muted words",
    };

    public async Task<ProfileOutcome> ChangeAsync(string user, ProfileChange change, CancellationToken cancellation)
    {
        string key = StateKeys.Profile(user);
        SocialProfile profile = (await store.GetAsync([key], cancellation)).Read<SocialProfile>(key);
        RepeatedField<string> list = ListOf(profile, change.List);
        int index = IndexIn(list, change);
        if (change.Remove ? index < 0 : index >= 0) return ProfileOutcome.Done;
        if (!change.Remove && list.Count >= Limits.ProfileListMax) return ProfileOutcome.ListFull;

        if (change.Remove) list.RemoveAt(index);
        else list.Add(change.Value);
        await store.TransactAsync([new(key, profile.ToState())], cancellation);
        return ProfileOutcome.Done;
    }

    private static RepeatedField<string> ListOf(SocialProfile profile, ProfileList list) => list switch
    {
        ProfileList.Follows => profile.Follows,
        ProfileList.Mutes => profile.Mutes,
        ProfileList.Blocks => profile.Blocks,
        ProfileList.MutedWords => profile.MutedWords,
        _ => throw new ArgumentOutOfRangeException(nameof(list), list, "not a list of the profile"),
    };

    // Words match whatever their case, so "Cat" and "cat" are one entry; ids are exact.
    private static int IndexIn(RepeatedField<string> list, ProfileChange change)
    {
        StringComparison comparison = change.List == ProfileList.MutedWords ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        for (int i = 0; i < list.Count; i++)
        {
            if (string.Equals(list[i], change.Value, comparison)) return i;
        }

        return -1;
    }
}
