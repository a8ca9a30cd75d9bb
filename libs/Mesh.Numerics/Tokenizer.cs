using System.Globalization;
using System.Text;

namespace Mesh.Numerics;

/// <summary>
/// Words of a text, lower-cased: runs of letters, digits and the marks on them. An apostrophe inside a word is left out
/// ("don't" is "dont"), every other character ends the word, and a character of a script without spaces between words
/// (Han, kana) is a word by itself. For encoding items: the gateway cuts muted words with rules of its own, which know emoji and Thai.
/// </summary>
public static class Tokenizer
{
    /// <summary>Tokens in order.</summary>
    /// <param name="tokensMax">Stops after this many: bounds the work for hostile texts.</param>
    public static List<string> Tokenize(string text, int tokensMax = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokens = new List<string>();
        var word = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (tokens.Count >= tokensMax) return tokens;
            if (word.Length > 0 && IsApostrophe(rune.Value)) continue;
            if (!IsWordPart(rune))
            {
                Flush(word, tokens);
            }
            else if (StandsAlone(rune.Value))
            {
                Flush(word, tokens);
                if (tokens.Count < tokensMax) tokens.Add(rune.ToString());
            }
            else
            {
                word.Append(Rune.ToLowerInvariant(rune).ToString());
            }
        }

        if (tokens.Count < tokensMax) Flush(word, tokens);
        return tokens;
    }

    private static void Flush(StringBuilder word, List<string> tokens)
    {
        if (word.Length == 0) return;
        tokens.Add(word.ToString());
        word.Clear();
    }

    private static bool IsWordPart(Rune rune) => Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter
        or UnicodeCategory.OtherLetter or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    private static bool IsApostrophe(int value) => value is '\'' or 0x2019 or 0x02BC;

    // Hiragana, katakana, CJK unified ideographs with extensions, compatibility ideographs.
    private static bool StandsAlone(int value) => value is (>= 0x3041 and <= 0x30FF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x4E00 and <= 0x9FFF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x20000 and <= 0x323AF);
}
