using System.Globalization;
using System.Text;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>
/// Splits text into lower-case tokens: runs of letters, digits and combining marks. In scripts written without spaces
/// (Han, kana, Thai, ...) every character is a token, so that a muted phrase is found inside a sentence. Letters compare as
/// they are coded: the mesh runs without ICU, so an accent written as a letter of its own is another word.
/// </summary>
internal static class Tokens
{
    public static List<string> Of(string text)
    {
        var tokens = new List<string>();
        var token = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isPart = IsPart(rune);
            bool standsAlone = isPart && IsUnspaced(rune.Value);
            if ((!isPart || standsAlone) && token.Length > 0)
            {
                tokens.Add(token.ToString());
                token.Clear();
            }

            if (standsAlone) tokens.Add(rune.ToString());
            else if (isPart) token.Append(Rune.ToLowerInvariant(rune).ToString());
        }

        if (token.Length > 0) tokens.Add(token.ToString());
        return tokens;
    }

    private static bool IsPart(Rune rune) => rune != Rune.ReplacementChar && Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter
        or UnicodeCategory.OtherLetter or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber
        or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.OtherSymbol;

    private static bool IsUnspaced(int codePoint) => codePoint is
        (>= 0x0E00 and <= 0x0EFF) // Thai, Lao
        or (>= 0x1000 and <= 0x109F) // Myanmar
        or (>= 0x1780 and <= 0x17FF) // Khmer
        or (>= 0x3040 and <= 0x30FF) // kana
        or (>= 0x3400 and <= 0x9FFF) // Han
        or (>= 0xF900 and <= 0xFAFF) // Han, compatibility
        or (>= 0x1F000 and <= 0x1FAFF) // emoji: each is muted by itself
        or (>= 0x20000 and <= 0x3FFFF); // Han, extensions
}
