using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Mesh.Benchmarks;

/// <summary>Named numbers of one run, and the table that shows them.</summary>
internal sealed class Figures
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private readonly SortedDictionary<string, double> _figures = new(StringComparer.Ordinal);

    public double this[string name]
    {
        get => _figures[name];
        set => _figures[name] = Math.Round(value, 4);
    }

    public void WriteJson(string file) =>
        File.WriteAllText(file, JsonSerializer.Serialize(new { figures = _figures }, Indented) + "\n");

    /// <summary>Prints rows under a title; a redirected output gets 160 columns, so that nothing wraps in a log.</summary>
    public static void Print(string title, IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        var table = new Table { Border = TableBorder.Ascii2 };
        foreach (string column in columns) table.AddColumn(new TableColumn(Markup.Escape(column)).NoWrap().RightAligned());
        foreach (IReadOnlyList<string> row in rows) table.AddRow([.. row.Select(Markup.Escape)]);
        if (!AnsiConsole.Profile.Out.IsTerminal) AnsiConsole.Profile.Width = 160;
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine(title);
        AnsiConsole.Write(table);
    }

    public static string Ms(double milliseconds) => milliseconds.ToString("0.0", CultureInfo.InvariantCulture);
}
