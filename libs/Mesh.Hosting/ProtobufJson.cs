using System.Text.Json;
using System.Text.Json.Serialization;
using Google.Protobuf;

namespace Mesh.Hosting;

/// <summary>Protobuf JSON, as topics carry it: the canonical mapping, unknown fields ignored so that producers may be newer.</summary>
public static class ProtobufJson
{
    private static readonly JsonFormatter Formatter = new(JsonFormatter.Settings.Default);
    private static readonly JsonParser Parser = new(JsonParser.Settings.Default.WithIgnoreUnknownFields(true));

    public static string Format(IMessage message) => Formatter.Format(message);

    /// <exception cref="InvalidProtocolBufferException">The text is not this message.</exception>
    /// <exception cref="InvalidJsonException">The text is not JSON.</exception>
    public static T Parse<T>(string json) where T : IMessage<T>, new() => Parser.Parse<T>(json);
}

/// <summary>Lets System.Text.Json, and with it the Dapr SDK, carry protobuf messages as protobuf JSON.</summary>
public sealed class ProtobufJsonConverterFactory : JsonConverterFactory
{
    public override bool CanConvert(Type typeToConvert) => typeof(IMessage).IsAssignableFrom(typeToConvert);

    public override JsonConverter CreateConverter(Type typeToConvert, JsonSerializerOptions options) =>
        (JsonConverter)Activator.CreateInstance(typeof(Converter<>).MakeGenericType(typeToConvert))!;

    private sealed class Converter<T> : JsonConverter<T> where T : IMessage<T>, new()
    {
        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            try
            {
                return ProtobufJson.Parse<T>(document.RootElement.GetRawText());
            }
            catch (Exception exception) when (exception is InvalidProtocolBufferException or InvalidJsonException)
            {
                throw new JsonException(exception.Message, exception);
            }
        }

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
            writer.WriteRawValue(ProtobufJson.Format(value));
    }
}
