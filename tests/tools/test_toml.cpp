#include "tools/toml.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;

TomlEntry only(const std::string& text) {
    const auto entries = parse_toml(text, "run.toml");
    FP_CHECK(entries.size() == 1, entries.size(), " entries");
    return entries[0];
}

template <class... Parts>
void expect_refused(const std::string& text, const Parts&... parts) {
    expect_error(
        Exit::data, [&] { parse_toml(text, "run.toml"); }, "run.toml", parts...);
}

TEST(Toml, values_of_every_kind) {
    const auto entries = parse_toml(
        "# settings\r\n"
        "epochs = 30  # many\n"
        "\t lr=1_000.5e-3\n"
        "'quoted key' = \"a # \\\"b\\\" \\u00e9\\\\\"\n"
        "literal = 'C:\\dir'\n"
        "nesterov = true\n"
        "attribute = [\n  \"sex\", # one\n  'age:60',\n]\n"
        "none = []",
        "run.toml");
    ASSERT_EQ(entries.size(), 7u);
    EXPECT_EQ(entries[0].kind, TomlKind::integer);
    EXPECT_EQ(entries[0].values, (std::vector<std::string>{"30"}));
    EXPECT_EQ(entries[0].line, 2);
    EXPECT_EQ(entries[1].kind, TomlKind::number);
    EXPECT_EQ(entries[1].values, (std::vector<std::string>{"1.0005"}));
    EXPECT_EQ(entries[2].key, "quoted key");
    EXPECT_EQ(entries[2].values, (std::vector<std::string>{"a # \"b\" é\\"}));
    EXPECT_EQ(entries[3].values, (std::vector<std::string>{"C:\\dir"}));
    EXPECT_EQ(entries[4].kind, TomlKind::boolean);
    EXPECT_TRUE(entries[5].is_array);
    EXPECT_EQ(entries[5].values, (std::vector<std::string>{"sex", "age:60"}));
    EXPECT_EQ(entries[6].line, 11);
    EXPECT_TRUE(entries[6].is_array && entries[6].values.empty());
}

TEST(Toml, numbers_keep_every_digit) {
    for (const auto& [written, kind] : {std::pair{"9223372036854775807", TomlKind::integer},
                                        {"-7", TomlKind::integer},
                                        {"0.1", TomlKind::number},
                                        {"0.30000000000000004", TomlKind::number},
                                        {"5e-324", TomlKind::number},
                                        {"1.7976931348623157e+308", TomlKind::number},
                                        {"-inf", TomlKind::number}}) {
        const TomlEntry entry = only(std::string("x = ") + written);
        EXPECT_EQ(entry.kind, kind) << written;
        EXPECT_EQ(entry.values, (std::vector<std::string>{written}));
    }
}

TEST(Toml, what_is_not_flat_is_refused_in_words) {
    expect_refused("a = 1\n[section]\n", ":2:", "sections", "`section`");
    expect_refused("a.b = 1", ":1:", "dotted");
    expect_refused("a = {b = 1}", "inline");
    expect_refused("[[a]]", "tables");
    expect_refused("a = [[1]]", "arrays in arrays");
    expect_refused("a = [1, \"x\"]", "`a` mixes");
    expect_refused("a = 2020-01-01", "dates");
    expect_refused("a = 12:00:00", "dates and times");
}

TEST(Toml, wrong_syntax_is_refused_with_its_line) {
    expect_refused("a", ":1:");
    expect_refused("\n= 1", ":2:");
    expect_refused("a = 1\nb = 2\na = 3", ":3:", "'a'");
    expect_refused("\na = word", ":2:");
    expect_refused("a = 18446744073709551615", ":1:");
    expect_refused("a = 1 2", ":1:");
    expect_refused("a = \"x", ":1:");
    expect_refused("a = [1,\n", "run.toml:");
    expect_refused("a = \"\xff\"", ":1:");
    expect_refused(std::string("a = \"\0\"", 8), ":1:");
}

// Messages hold what the file holds, and go to a terminal.
TEST(Toml, a_message_is_one_printable_line) {
    for (const std::string& text :
         {std::string("a = \x1b[31m"), std::string("\"\\u001b\\n\" = [[1]]"),
          std::string("\"\\u001b\\n\" = 1\n\"\\u001b\\n\" = 1"), std::string("\"\\u001b\".x = 1")}) {
        try {
            parse_toml(text, "run.toml");
            ADD_FAILURE() << "taken: " << text;
        } catch (const Error& error) {
            for (const char* c = error.what(); *c; ++c)
                EXPECT_TRUE(static_cast<unsigned char>(*c) >= 0x20) << error.what();
        }
    }
}

TEST(Toml, a_file_of_any_depth_within_the_limit_is_refused_and_no_more) {
    std::string deep = "a";
    while (deep.size() < 32000) deep += ".a";
    expect_refused(deep + " = 1", "dotted");
    expect_refused("a = " + std::string(32000, '['), ":1:");
    expect_refused(std::string(33000, '#'), "33000 bytes");
}

TEST(Toml, a_written_string_is_read_back) {
    for (const std::string& text : {std::string("plain"), std::string("\"\\\n\t\x7f\x01é"), std::string()})
        EXPECT_EQ(only("x = " + toml_string(text)).values[0], text);
}

}  // namespace
}  // namespace fp
