using System.Globalization;

namespace Mesh.Retrieval.Syntax;

/// <summary>
/// Where a parser by recursive descent is in its text: what the languages of filters and of value formulas share. Blanks after what was taken are
/// skipped. Faults are <see cref="FormatException"/>s that name the position, counted from 0; <see cref="TryRead"/> turns them into text.
/// </summary>
internal sealed class TextCursor
{
    /// <summary>Levels that <see cref="Enter"/> goes down: a parser's stack is bounded by it, whatever a client sends.</summary>
    public const int DepthMax = 32;

    private const int ShownMax = 40;

    private readonly string _text;
    private int _depth;

    private TextCursor(string text) => _text = text;

    public int At { get; private set; }

    public bool IsAtEnd => At == _text.Length;

    /// <summary>The character here; '\0' at the end.</summary>
    public char Here => IsAtEnd ? '\0' : _text[At];

    /// <summary>Reads a text to its end. Blank text is read by nobody, and fine.</summary>
    /// <param name="lengthMax">In characters.</param>
    /// <param name="read">Takes one whole expression.</param>
    /// <param name="orElse">What may follow it, for the fault where something else does.</param>
    /// <param name="fault">What is wrong and where; empty where nothing is.</param>
    public static bool TryRead(string text, int lengthMax, Action<TextCursor> read, string orElse, out string fault)
    {
        fault = "";
        if (text.Length > lengthMax)
        {
            fault = $"is {text.Length} characters long; at most {lengthMax} are allowed";
            return false;
        }

        var cursor = new TextCursor(text);
        cursor.SkipBlanks();
        if (cursor.IsAtEnd) return true;

        try
        {
            read(cursor);
            if (!cursor.IsAtEnd) throw cursor.Unexpected(orElse);
            return true;
        }
        catch (FormatException exception)
        {
            fault = exception.Message;
            return false;
        }
    }

    public bool Take(string symbol)
    {
        if (string.CompareOrdinal(_text, At, symbol, 0, symbol.Length) != 0) return false;
        At += symbol.Length;
        SkipBlanks();
        return true;
    }

    /// <summary>Takes a word that ends where the text does, or before a character that ends words.</summary>
    public bool TakeWord(string word, Func<char, bool> endsWords)
    {
        int end = At + word.Length;
        return (end >= _text.Length || endsWords(_text[end])) && Take(word);
    }

    /// <summary>Takes the character here, whatever it is, with no blanks after it.</summary>
    public char TakeOne() => _text[At++];

    /// <summary>Takes characters as long as they are wanted, with no blanks after them; empty where the first is not.</summary>
    /// <param name="isWanted">Of a character and the one before it, '\0' at the start of the text.</param>
    public string TakeWhile(Func<char, char, bool> isWanted)
    {
        int start = At;
        while (!IsAtEnd && isWanted(_text[At], At == 0 ? '\0' : _text[At - 1])) At++;
        return _text[start..At];
    }

    public void SkipBlanks()
    {
        while (char.IsWhiteSpace(Here)) At++;
    }

    /// <summary>Goes one level down; <see cref="Leave"/> comes back up.</summary>
    public void Enter()
    {
        if (++_depth > DepthMax) throw Fault(At, $"is nested deeper than {DepthMax} levels");
    }

    public void Leave() => _depth--;

    public FormatException Unexpected(string expected)
    {
        int end = At;
        while (end < _text.Length && end < At + ShownMax && !char.IsWhiteSpace(_text[end])) end++;
        return Fault(At, $"found {(end == At ? "the end" : $"'{_text[At..end]}'")} where {expected} was expected");
    }

    public static FormatException Fault(int position, string message) =>
        new($"at position {position.ToString(CultureInfo.InvariantCulture)}: {message}");

    /// <summary>As much of what was written as a fault shows.</summary>
    public static string Shorten(string written) => written.Length <= ShownMax ? written : written[..ShownMax];
}
