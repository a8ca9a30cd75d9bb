namespace Mesh.Host.Processes;

/// <summary>
/// The one writer of the host's output: each line says who wrote it, in a colour of its own on a terminal, plainly where the
/// output is redirected. Safe from any thread; a reader that does not read makes the writers wait.
/// </summary>
internal sealed class PrefixedOutput(TextWriter writer, bool colours, int nameWidth)
{
    // Bright-enough ANSI colours that read on black and on white.
    private static readonly int[] Palette = [36, 32, 33, 35, 34, 96, 92, 95];
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _colourByName = new(StringComparer.Ordinal);

    public void WriteLine(string name, string line)
    {
        lock (_gate)
        {
            if (!colours)
            {
                writer.WriteLine($"{name.PadRight(nameWidth)} | {line}");
                return;
            }

            if (!_colourByName.TryGetValue(name, out int colour))
            {
                colour = _colourByName[name] = Palette[_colourByName.Count % Palette.Length];
            }

            writer.WriteLine($"\e[{colour}m{name.PadRight(nameWidth)} |\e[0m {line}");
        }
    }

    /// <summary>Writes a block of text without a prefix and with nobody's lines in between.</summary>
    public void WriteBlock(string text)
    {
        lock (_gate)
        {
            writer.Write(text);
            writer.Flush();
        }
    }
}
