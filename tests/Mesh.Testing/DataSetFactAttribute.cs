using Xunit;

namespace Mesh.Testing;

/// <summary>A test on a public data set; skipped, with the reason, where it is absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataSetFactAttribute : FactAttribute
{
    public DataSetFactAttribute(string dataSet)
    {
        DataSetName = dataSet;
        if (!DataSet.IsThere(dataSet)) Skip = $"{DataSet.Folder(dataSet)} is absent: put the data set there, or set FEEDMESH_DATA.";
    }

    public string DataSetName { get; }
}
