#include "engine/run/checkpoint_json.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;

TEST(Description, what_is_not_of_our_format_is_refused) {
    const auto expect = [](const std::string& text, const std::string& message) {
        expect_error(
            Exit::model, [&] { parse_description(text, "s"); }, message);
    };
    expect(R"({"format":2,"step":1})", "has format 2, this version reads 1");
    expect("[]", "format");
    expect(R"({"format":1,"format":1})", "twice");
    expect(R"({"format":1,"step":-1,"settings":[],"noted":[],"progress":0,"model":{},"state":{}})", "step");
}

// A model's description with one number replaced.
std::string card_with(const std::string& was, const std::string& is) {
    std::string text =
        card_text({.classes = 2, .widths = {{"conv1", 8}}},
                  {.preprocessing = {.image_size = 32}, .classes = {"a", "b"}, .kept = {{"conv1", {3}}}});
    const size_t at = text.find(was);
    FP_CHECK(at != text.npos, was, " is not in ", text);
    return text.replace(at, was.size(), is);
}

TEST(Card, numbers_are_checked_before_they_are_narrowed) {
    EXPECT_EQ(parse_card(card_with("spec", "spec"), "m").spec.widths.at("conv1"), 8);
    for (const auto& [was, is] : {std::pair{"\"format\":1", "\"format\":4294967297"},
                                  {"\"format\":1", "\"format\":1.5"},
                                  {"\"format\":1", "\"format\":true"},
                                  {"\"classes\":2", "\"classes\":4294967298"},
                                  {"\"classes\":2", "\"classes\":3"},
                                  {"\"width\":1.0", "\"width\":null"},
                                  {"\"conv1\":8", "\"conv1\":0"},
                                  {"\"image_size\":32", "\"image_size\":4294967328"},
                                  {"[3]", "[\"3\"]"},
                                  {"[1.0,1.0,1.0]", "[1.0,1.0]"}})
        expect_error(
            Exit::model, [&] { parse_card(card_with(was, is), "m"); }, "m: ");
}

TEST(Card, knows_what_the_model_has_seen) {
    const ModelCard card{.classes = {"a", "b"},
                         .seen = SeenImages{.data = "csv:t.csv",
                                            .split_hash = "ab",
                                            .split_seed = UINT64_MAX,
                                            .train = {1, 0xffffffffffff},
                                            .val = {2},
                                            .truncated = true,
                                            .earlier_unknown = true,
                                            .first_weights_unknown = true}};
    const std::string text = card_text({.classes = 2}, card);
    EXPECT_EQ(parse_card(text, "m").card.seen, card.seen);
    for (const auto& [was, is] : {std::pair{"\"000000000002\"", "\"00000000002\""},
                                  {"\"000000000002\"", "\"00000000000g\""},
                                  {"\"000000000001ffffffffffff\"", "\"ffffffffffff000000000001\""},
                                  {"\"split_seed\":18446744073709551615", "\"split_seed\":-1"}}) {
        std::string other = text;
        const size_t at = other.find(was);
        ASSERT_NE(at, other.npos) << was << " is not in " << text;
        other.replace(at, std::string(was).size(), is);
        expect_error(
            Exit::model, [&] { parse_card(other, "m"); }, "m: ");
    }
}

}  // namespace
}  // namespace fp
