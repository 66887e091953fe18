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
        Exit::data, [&] { parse_toml(text, "run.toml"); }, "run.toml:", parts...);
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
    EXPECT_EQ(entries[1].values, (std::vector<std::string>{"1000.5e-3"}));
    EXPECT_EQ(entries[2].key, "quoted key");
    EXPECT_EQ(entries[2].values, (std::vector<std::string>{"a # \"b\" é\\"}));
    EXPECT_EQ(entries[3].values, (std::vector<std::string>{"C:\\dir"}));
    EXPECT_EQ(entries[4].kind, TomlKind::boolean);
    EXPECT_TRUE(entries[5].is_array);
    EXPECT_EQ(entries[5].values, (std::vector<std::string>{"sex", "age:60"}));
    EXPECT_EQ(entries[6].line, 11);
    EXPECT_TRUE(entries[6].is_array && entries[6].values.empty());
}

TEST(Toml, numbers_as_the_standard_has_them) {
    for (const char* good : {"0", "-7", "+7", "1_000"})
        EXPECT_EQ(only(std::string("x=") + good).kind, TomlKind::integer) << good;
    for (const char* good : {"0.5", "-1e3", "6.02E+23", "inf", "-inf", "nan"})
        EXPECT_EQ(only(std::string("x=") + good).kind, TomlKind::number) << good;
    for (const char* bad : {"01", "1.", ".5", "1e", "1_", "_1", "1__0", "0x", "--1", "1e+",
                            "2020-01-01", "1:2", "word", "True", "+", "-", "1.e3"})
        expect_refused(std::string("x=") + bad, "no value");
}

TEST(Toml, what_is_not_flat_is_refused_in_words) {
    expect_refused("a = 1\n[section]\n", ":2:", "sections");
    expect_refused("a.b = 1", "dotted");
    expect_refused("a = {b = 1}", "inline");
    expect_refused("a = [[1]]", "arrays in arrays");
    expect_refused("a = \"\"\"x\"\"\"", "multi-line");
    expect_refused("a = 1\nb = 2\na = 3", ":3:", "`a` is given twice");
}

TEST(Toml, wrong_syntax_is_refused_with_its_line) {
    expect_refused("a", ":1:", "not followed by `=`");
    expect_refused("\n= 1", ":2:", "not a key");
    expect_refused("a =", "no value");
    expect_refused("a = \"x", "no end");
    expect_refused("a = \"x\ny\"", "no end");
    expect_refused("a = \"\\q\"", "escape");
    expect_refused("a = \"\\ud800\"", "escape");
    expect_refused("a = \"\\u12", "escape");
    expect_refused("a = 1 2", "`2` follows");
    expect_refused("a = [1, \"x\"]", "mixes");
    expect_refused("a = [1 2]", "comma");
    expect_refused("a = [1,\n", "no end");
    expect_refused("a = [", "no end");
    expect_refused(std::string("a = \"\0\"", 8), "control character");
    expect_refused("a = bare words", "quotes");
}

TEST(Toml, a_written_string_is_read_back) {
    for (const std::string& text :
         {std::string("plain"), std::string("\"\\\n\t\x7f\x01é"), std::string()})
        EXPECT_EQ(only("x = " + toml_string(text)).values[0], text);
}

}  // namespace
}  // namespace fp
