using System.Globalization;
using System.Text;

namespace Mesh.Simulator.Loop;

/// <summary>A loop as a picture (SVG): utility by request number of each arm and bound, and beside it the differences with their intervals.</summary>
internal static class LoopPlot
{
    private const double Height = 360, Left = 60, Top = 40, Wide = 430, Tall = 260, Right = 640, Narrow = 280;
    private static readonly string[] Colours = ["#1f6fb4", "#d1662a", "#4c9a4c", "#8559a5", "#b03a48"];

    public static string Draw(LoopReport report)
    {
        var svg = new StringBuilder();
        svg.AppendLine(Invariant($"<svg xmlns='http://www.w3.org/2000/svg' width='960' height='{Height}' font-family='sans-serif' font-size='12'>"));
        svg.AppendLine("<rect width='100%' height='100%' fill='white'/>");
        DrawCurves(svg, report);
        DrawDifferences(svg, report);
        return svg.AppendLine("</svg>").ToString();
    }

    private static void DrawCurves(StringBuilder svg, LoopReport report)
    {
        double max = report.Curves.Values.Max(curve => curve.Max()), min = Math.Min(0, report.Curves.Values.Min(curve => curve.Min()));
        if (max <= min) max = min + 1;
        int requests = report.Curves.Values.First().Length;
        Label(svg, Left, Top - 16, "utility per request, by number of the request", "start");
        for (int line = 0; line <= 4; line++)
        {
            double value = min + (max - min) * line / 4;
            svg.AppendLine(Invariant($"<line x1='{Left}' x2='{Left + Wide}' y1='{Y(value):0.0}' y2='{Y(value):0.0}' stroke='#ddd'/>"));
            Label(svg, Left - 6, Y(value) + 4, Invariant($"{value:0.0}"), "end");
        }

        Label(svg, X(0), Top + Tall + 18, "1", "middle");
        Label(svg, X(requests - 1), Top + Tall + 18, Invariant($"{requests}"), "middle");
        int at = 0;
        foreach ((string name, double[] curve) in report.Curves)
        {
            bool isBound = !report.Arms.Contains(name);
            string colour = isBound ? "#888" : Colours[at % Colours.Length];
            string points = string.Join(' ', curve.Select((value, request) => Invariant($"{X(request):0.0},{Y(value):0.0}")));
            svg.AppendLine(Invariant($"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'{(isBound ? " stroke-dasharray='5 4'" : "")}/>"));
            Label(svg, Left + 8 + at % 4 * 108, Top + Tall + 40, $"{(isBound ? "- -" : "—")} {name}", "start", colour);
            at++;
        }

        double X(int request) => Left + (requests == 1 ? 0.5 : request / (requests - 1.0)) * Wide;
        double Y(double value) => Top + Tall - (value - min) / (max - min) * Tall;
    }

    private static void DrawDifferences(StringBuilder svg, LoopReport report)
    {
        (string Name, Estimate Value)[] rows =
        [
            .. report.Sections.SelectMany(section => section.Comparisons.Where(comparison => comparison.Metric == Metric.Utility)
                .SelectMany(comparison => comparison.Differences.Select(pair => ($"{section.Name}: - {pair.Key}", pair.Value)))),
        ];
        if (rows.Length == 0) return;
        double span = Math.Max(1e-9, rows.Max(row => Math.Max(Math.Abs(row.Value.Low), Math.Abs(row.Value.High)))) * 1.15;
        Label(svg, Right, Top - 16, $"{report.Arms[0]} minus another, utility per request", "start");
        svg.AppendLine(Invariant($"<line x1='{X(0):0.0}' x2='{X(0):0.0}' y1='{Top}' y2='{Top + Tall}' stroke='#999'/>"));
        for (int row = 0; row < rows.Length; row++)
        {
            (string name, Estimate value) = rows[row];
            double y = Top + Tall * (row + 0.6) / rows.Length;
            svg.AppendLine(Invariant($"<line x1='{X(value.Low):0.0}' x2='{X(value.High):0.0}' y1='{y:0.0}' y2='{y:0.0}' stroke='{Colours[0]}' stroke-width='3'/>"));
            svg.AppendLine(Invariant($"<circle cx='{X(value.Value):0.0}' cy='{y:0.0}' r='5' fill='{Colours[0]}'/>"));
            Label(svg, Right, y - 10, Invariant($"{name}  {value.Value:+0.00;-0.00} [{value.Low:+0.00;-0.00}, {value.High:+0.00;-0.00}]"), "start");
        }

        double X(double value) => Right + Narrow / 2 + value / span * Narrow / 2;
    }

    private static void Label(StringBuilder svg, double x, double y, string text, string anchor, string colour = "#333") =>
        svg.AppendLine(Invariant($"<text x='{x:0.0}' y='{y:0.0}' text-anchor='{anchor}' fill='{colour}'>{System.Security.SecurityElement.Escape(text)}</text>"));

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
