namespace Mesh.Numerics.Tests;

internal static class Levels
{
    // The levels that this processor has; DOTNET_EnableAVX2=0 and its like take some away.
    public static TheoryData<SimdLevel> Supported => [.. Enum.GetValues<SimdLevel>().Where(level => level.IsSupported())];

    public static TheoryData<SimdLevel, int> With(params int[] numbers)
    {
        var data = new TheoryData<SimdLevel, int>();
        foreach (SimdLevel level in Enum.GetValues<SimdLevel>().Where(level => level.IsSupported()))
        {
            foreach (int number in numbers) data.Add(level, number);
        }

        return data;
    }
}
