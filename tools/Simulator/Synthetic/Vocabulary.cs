namespace Mesh.Simulator.Synthetic;

/// <summary>One topic of the synthetic world and the words that its posts are made of.</summary>
internal sealed record Topic(string Name, string[] Words);

/// <summary>What posts are written with. A post's topic words carry its meaning, its function words only its language.</summary>
internal static class Vocabulary
{
    public static IReadOnlyList<Topic> Topics { get; } =
    [
        new("cycling", ["gravel", "peloton", "derailleur", "climb", "sprint", "chainring", "saddle", "breakaway", "cadence", "switchback", "tubeless", "puncture"]),
        new("cooking", ["sourdough", "braise", "umami", "cardamom", "skillet", "fermented", "dumpling", "roux", "glaze", "simmer", "saffron", "marinade"]),
        new("astronomy", ["nebula", "parallax", "exoplanet", "aperture", "quasar", "eclipse", "spectrograph", "perihelion", "redshift", "comet", "galaxy", "occultation"]),
        new("chess", ["endgame", "zugzwang", "gambit", "sicilian", "fianchetto", "blunder", "rook", "tempo", "stalemate", "castling", "outpost", "skewer"]),
        new("gardening", ["compost", "perennial", "mulch", "seedling", "trellis", "pruning", "aphids", "heirloom", "raised-bed", "pollinator", "grafting", "loam"]),
        new("football", ["offside", "midfield", "penalty", "counterattack", "clean-sheet", "derby", "striker", "pressing", "volley", "keeper", "relegation", "corner"]),
        new("jazz", ["bebop", "improvisation", "saxophone", "syncopation", "standards", "quartet", "ballad", "swing", "voicing", "trumpet", "modal", "brushes"]),
        new("programming", ["compiler", "latency", "refactor", "closure", "allocator", "deadlock", "parser", "benchmark", "pointer", "iterator", "rollback", "linter"]),
        new("travel", ["itinerary", "hostel", "passport", "ferry", "backpack", "night-train", "lagoon", "bazaar", "border", "detour", "viewpoint", "layover"]),
        new("film", ["cinematography", "screenplay", "montage", "close-up", "premiere", "remake", "noir", "dolly-shot", "festival", "soundtrack", "cameo", "director's-cut"]),
        new("economics", ["inflation", "tariff", "bond-yield", "productivity", "monopsony", "stimulus", "auction", "deficit", "liquidity", "externality", "hedge", "wages"]),
        new("wildlife", ["migration", "burrow", "plumage", "predator", "otter", "habitat", "tracking", "wetland", "raptor", "canopy", "rewilding", "hedgehog"]),
    ];

    /// <summary>Languages with their share of authors and a few function words.</summary>
    public static IReadOnlyList<(string Code, double Share, string[] Words)> Languages { get; } =
    [
        ("en", 0.70, ["the", "and", "with", "today", "about", "my", "first", "again", "why", "after"]),
        ("de", 0.16, ["der", "und", "mit", "heute", "über", "mein", "wieder", "warum", "nach", "sehr"]),
        ("es", 0.14, ["el", "y", "con", "hoy", "sobre", "mi", "otra", "vez", "por", "después"]),
    ];
}
