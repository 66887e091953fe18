#include "engine/prune/scores_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/io/json.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
using testing::expect_error;

ordered_json document() {
    const LayerScores layer{
        .layer = "layer4.1.conv2",
        .tap = "conv",
        .attribute = "sex",
        .definition = "exact",
        .distance = "cosine",
        .temperature = 0.5,
        .samples = 64,
        .chance = 0.7,
        .score = {0.1, std::numeric_limits<double>::quiet_NaN(), 0.3},
        .normalized = {1.0 / 7, std::numeric_limits<double>::quiet_NaN(), 3.0 / 7},
        .reason = "a group of one",
        .blocks = 3,
        .null = NullScores{.permutations = 2, .mean = {1, 2, 3}, .sd = {4, 5, 6}, .z = {-7, 0, 7}, .p = {1, 1, 1}},
        .normalized_by = "permutations",
        .seconds = 0.25};
    return {{"model", "abc"}, {"criterion", "snnl"}, {"layers", {to_json(layer)}}};
}

TEST(ScoresFile, what_is_written_is_read) {
    const auto layers = read_scores(json_line(document()), "scores.json", "abc").layers;
    ASSERT_EQ(layers.size(), 1u);
    EXPECT_EQ(layers[0].layer, "layer4.1.conv2");
    EXPECT_EQ(layers[0].temperature, 0.5);
    EXPECT_EQ(layers[0].samples, 64);
    EXPECT_EQ(layers[0].blocks, 3);
    EXPECT_EQ(layers[0].reason, "a group of one");
    EXPECT_EQ(layers[0].seconds, 0.25);
    EXPECT_EQ(layers[0].null->permutations, 2);
    EXPECT_EQ(layers[0].null->z[0], -7);
    EXPECT_EQ(layers[0].normalized_by, "permutations");
    EXPECT_EQ(layers[0].normalized[2], 3.0 / 7);
    EXPECT_TRUE(std::isnan(layers[0].score[1]));
}

TEST(ScoresFile, sets_of_other_criteria_are_read) {
    const ordered_json l1{
        {"model", "abc"}, {"criterion", "l1"}, {"layers", ordered_json::array()}, {"sets", {{"layer4", {0.5, 1.5}}}}};
    const ScoresFile file = read_scores(json_line(l1), "scores.json", "abc");
    EXPECT_EQ(file.criterion, "l1");
    EXPECT_EQ(file.sets.at("layer4"), (std::vector<double>{0.5, 1.5}));
}

TEST(ScoresFile, noise_is_written_and_read) {
    const ChannelScores scores{
        .criterion = "l1", .layers = {}, .sets = {{"layer4", {0.5, 1.5}}}, .noise = {{"layer4", 0.25}}};
    const std::string text = scores_text(scores, {.criterion = "l1"}, "abc");
    EXPECT_EQ(read_scores(text, "scores.json", "abc").noise, scores.noise);
    const ordered_json without{
        {"model", "abc"}, {"criterion", "l1"}, {"layers", ordered_json::array()}, {"sets", {{"layer4", {0.5}}}}};
    EXPECT_TRUE(read_scores(json_line(without), "scores.json", "abc").noise.empty());
}

TEST(ScoresFile, scores_of_another_model_are_refused) {
    expect_error(
        Exit::model, [] { read_scores(json_line(document()), "scores.json", "xyz"); }, "scores.json", "another model",
        "abc", "xyz");
}

TEST(ScoresFile, what_is_no_such_document_is_refused_in_words) {
    const auto refused = [](const ordered_json& value, const char* words) {
        expect_error(
            Exit::data, [&] { read_scores(json_line(value), "scores.json", "abc"); }, "scores.json: ", words);
    };
    refused(ordered_json::array(), "no `model`");
    refused({{"model", 3}}, "`model` is not a string");
    refused({{"model", "abc"}}, "no `criterion`");
    refused({{"model", "abc"}, {"criterion", "snnl"}}, "no `layers`");
    refused({{"model", "abc"}, {"criterion", "snnl"}, {"layers", "x"}}, "`layers` is not a list");
    refused({{"model", "abc"}, {"criterion", "snnl"}, {"layers", ordered_json::array()}}, "no layer was scored");
    const auto by_l1 = [](const ordered_json& sets) -> ordered_json {
        return {{"model", "abc"}, {"criterion", "l1"}, {"layers", ordered_json::array()}, {"sets", sets}};
    };
    refused(by_l1(3), "`sets` is not an object");
    refused(by_l1(ordered_json::object()), "no set was scored");
    refused(by_l1({{"layer4", {1, "x"}}}), "`layer4[1]` is not a number or null");
    for (const char* key : {"layer", "tap", "attribute", "definition", "distance", "temperature", "samples", "chance",
                            "score", "normalized"}) {
        ordered_json without = document();
        without["layers"][0].erase(key);
        refused(without, key);
        ordered_json wrong = document();
        wrong["layers"][0][key] = ordered_json::object();
        refused(wrong, key);
    }
    ordered_json half = document();
    half["layers"][0]["null"]["z"].erase(0);
    refused(half, "3 scores, 2 of their null");
    half["layers"][0]["null"] = 3;
    refused(half, "null: has no `permutations`");
    ordered_json shorter = document();
    shorter["layers"][0].erase("null");
    shorter["layers"][0]["score"].erase(0);
    refused(shorter, "2 scores, 3 normalized");
    expect_error(
        Exit::data, [] { read_scores("{\"model\":", "scores.json", "abc"); }, "not JSON");
}

}  // namespace
}  // namespace fp
