namespace Mesh.Numerics.Tests;

internal static class Vectors
{
    public static float[] Random(int length, int seed)
    {
        var random = new Random(seed);
        var vector = new float[length];
        for (int i = 0; i < length; i++) vector[i] = (float)((random.NextDouble() * 2) - 1);
        return vector;
    }
}
