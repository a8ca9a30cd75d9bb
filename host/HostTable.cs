using System.Globalization;
using Mesh.Host.Data;
using Spectre.Console;

namespace Mesh.Host;

/// <summary>The one table of what runs where.</summary>
internal static class HostTable
{
    private const int RedirectedWidth = 140;

    /// <summary>The table as text, with colours where <paramref name="colours"/> says so.</summary>
    public static string Render(RunState run, bool colours)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(text),
            Ansi = colours ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = colours ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
        });
        console.Profile.Width = RedirectedWidth;

        var table = new Table().Border(TableBorder.Rounded);
        foreach (string column in (string[])["service", "url", "pid", "Dapr HTTP", "Dapr gRPC"]) table.AddColumn(column);
        foreach (RunApp app in run.Apps)
        {
            table.AddRow(Markup.Escape(app.AppId), app.Url, app.Pid == 0 ? "-" : Text(app.Pid), Text(app.DaprHttpPort), Text(app.DaprGrpcPort));
        }

        console.WriteLine();
        console.Write(table);
        if (run.GatewayUrl.Length > 0)
        {
            console.WriteLine($"API      {run.GatewayUrl}/v1");
            console.WriteLine($"Swagger  {run.GatewayUrl}/swagger");
        }

        console.WriteLine($"Data     {run.DataDirectory}");
        console.WriteLine("Ctrl-C stops everything.");
        console.WriteLine();
        return text.ToString();
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
