using System.Globalization;
using System.Text;
using Mesh.Simulator.Import;

namespace Mesh.Simulator.Files;

/// <summary>Rows of a delimited file with their line numbers, and columns by name.</summary>
internal static class Table
{
    /// <summary>Reads a CSV file whose first line names the columns.</summary>
    public static IEnumerable<Row> Csv(string path)
    {
        Dictionary<string, int>? columns = null;
        int number = 0;
        foreach (string line in DataFile.Lines(path, Encoding.UTF8))
        {
            number++;
            if (columns is null)
            {
                columns = SplitCsv(line.TrimStart('\uFEFF')).Select((name, index) => (name, index)).ToDictionary(pair => pair.name, pair => pair.index, StringComparer.Ordinal);
                continue;
            }

            if (line.Length > 0) yield return new Row(path, number, SplitCsv(line), columns);
        }
    }

    /// <summary>Reads MovieLens' older format: no header, fields parted by "::", latin-1.</summary>
    public static IEnumerable<Row> DoubleColon(string path, params string[] columnNames)
    {
        Dictionary<string, int> columns = columnNames.Select((name, index) => (name, index)).ToDictionary(pair => pair.name, pair => pair.index, StringComparer.Ordinal);
        int number = 0;
        foreach (string line in DataFile.Lines(path, Encoding.Latin1))
        {
            number++;
            if (line.Length > 0) yield return new Row(path, number, line.Split("::"), columns);
        }
    }

    /// <summary>Fields of a CSV line: commas, quotes around a field, a quote doubled inside them.</summary>
    internal static string[] SplitCsv(string line)
    {
        if (!line.Contains('"', StringComparison.Ordinal)) return line.Split(',');

        var fields = new List<string>();
        var field = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < line.Length; i++)
        {
            char c = line[i];
            if (c == '"' && quoted && i + 1 < line.Length && line[i + 1] == '"')
            {
                field.Append('"');
                i++;
            }
            else if (c == '"')
            {
                quoted = !quoted;
            }
            else if (c == ',' && !quoted)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else
            {
                field.Append(c);
            }
        }

        fields.Add(field.ToString());
        return [.. fields];
    }
}

/// <summary>One row. Fields that cannot be read name the file, the line and the column.</summary>
internal readonly record struct Row(string Path, int Line, string[] Fields, Dictionary<string, int> Columns)
{
    public string Text(string column)
    {
        if (!Columns.TryGetValue(column, out int index)) throw new DataException($"{Path} has no column {column}; it has {string.Join(", ", Columns.Keys)}.");
        return index < Fields.Length ? Fields[index] : throw Fault(column, "the line is too short");
    }

    public long Integer(string column) => long.TryParse(Text(column), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value)
        ? value
        : throw Fault(column, $"'{Text(column)}' is not a whole number");

    public double Number(string column) => double.TryParse(Text(column), NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
        ? value
        : throw Fault(column, $"'{Text(column)}' is not a number");

    public bool Flag(string column) => Text(column) is "1" or "1.0";

    private DataException Fault(string column, string what) => new($"{Path}, line {Line}, {column}: {what}.");
}
