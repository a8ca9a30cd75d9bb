namespace Mesh.Host.Processes;

/// <summary>Splits a stream of text into lines of bounded length: a child that never ends its line cannot fill the host's memory.</summary>
internal static class BoundedLines
{
    public const int LengthMax = 16 * 1024;

    /// <summary>Calls <paramref name="onLine"/> for every line until the stream ends. A longer line comes in pieces.</summary>
    public static async Task ReadAsync(TextReader reader, Action<string> onLine)
    {
        char[] buffer = new char[LengthMax];
        int filled = 0;
        while (true)
        {
            int read = await reader.ReadAsync(buffer.AsMemory(filled));
            int end = filled + read;
            int start = 0;
            for (int newline; (newline = Array.IndexOf(buffer, '\n', start, end - start)) >= 0; start = newline + 1)
            {
                onLine(new string(buffer, start, newline - start).TrimEnd('\r'));
            }

            filled = end - start;
            if (read == 0 || filled == buffer.Length)
            {
                if (filled > 0) onLine(new string(buffer, start, filled));
                if (read == 0) return;
                filled = 0;
            }
            else if (start > 0)
            {
                Array.Copy(buffer, start, buffer, 0, filled);
            }
        }
    }
}
