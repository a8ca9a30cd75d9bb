using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Mesh.Sidecar.Bindings;

/// <summary>
/// How <c>bindings.localstorage</c> reads data, as Dapr's does: a quoted string (which is what text becomes on the HTTP
/// face) is unquoted, and what is then valid base64 is decoded; everything else is taken as it is.
/// </summary>
internal static class BindingPayload
{
    public static ReadOnlyMemory<byte> Decode(ReadOnlyMemory<byte> data)
    {
        ReadOnlyMemory<byte> text = Unquote(data.Span) ?? data;
        return DecodeBase64(text.Span) ?? text;
    }

    // Go's string literals: "..." with escapes, `...` without. Null where it is none.
    private static byte[]? Unquote(ReadOnlySpan<byte> text)
    {
        if (text.Length < 2 || text[0] != text[^1]) return null;

        ReadOnlySpan<byte> inner = text[1..^1];
        if (text[0] == (byte)'`') return inner.Contains((byte)'`') ? null : inner.ToArray();
        if (text[0] != (byte)'"' || inner.ContainsAny("\"\n"u8) && !OnlyEscapedQuotes(inner)) return null;

        var plain = new ArrayBufferWriter<byte>(inner.Length + 1);
        while (!inner.IsEmpty)
        {
            int escape = inner.IndexOf((byte)'\\');
            plain.Write(escape < 0 ? inner : inner[..escape]);
            if (escape < 0) break;
            if (!TryEscape(inner[(escape + 1)..], plain, out int used)) return null;
            inner = inner[(escape + 1 + used)..];
        }

        return plain.WrittenSpan.ToArray();
    }

    private static bool OnlyEscapedQuotes(ReadOnlySpan<byte> inner)
    {
        for (int i = 0; i < inner.Length; i++)
        {
            if (inner[i] == (byte)'\\') i++;
            else if (inner[i] is (byte)'"' or (byte)'\n') return false;
        }

        return true;
    }

    private static bool TryEscape(ReadOnlySpan<byte> rest, ArrayBufferWriter<byte> plain, out int used)
    {
        used = 1;
        if (rest.IsEmpty) return false;

        int simple = "abfnrtv\\\""u8.IndexOf(rest[0]);
        if (simple >= 0)
        {
            plain.Write([" \a\b\f\n\r\t\v\\\""u8[simple + 1]]);
            return true;
        }

        int digits = rest[0] switch { (byte)'x' => 2, (byte)'u' => 4, (byte)'U' => 8, _ => 0 };
        if (digits == 0 || rest.Length <= digits || !Utf8Parser.TryParse(rest.Slice(1, digits), out uint code, out int read, 'x') || read != digits)
        {
            return false;
        }

        used = 1 + digits;
        if (digits == 2)
        {
            plain.Write([(byte)code]);
            return true;
        }

        if (!Rune.IsValid(code)) return false;
        Span<byte> encoded = stackalloc byte[4];
        plain.Write(encoded[..new Rune(code).EncodeToUtf8(encoded)]);
        return true;
    }

    // Go's decoder skips line breaks but no other white space.
    private static byte[]? DecodeBase64(ReadOnlySpan<byte> text)
    {
        if (text.ContainsAny(" \t\v\f"u8)) return null;

        byte[] decoded = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        return Base64.DecodeFromUtf8(text, decoded, out _, out int written) == OperationStatus.Done ? decoded[..written] : null;
    }
}
