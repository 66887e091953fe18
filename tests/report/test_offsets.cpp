// The figures of a classifier with offsets per group, by hand: as JSON and as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/report/offsets.h"

namespace fp {
namespace {

using ::testing::HasSubstr;

// Images of the classes x and y with the probability of y, by group; names begin with `name`.
struct Case {
    int label;
    std::string group;
    double y;
};
Predictions predictions(const std::string& name, const std::vector<Case>& cases) {
    Predictions p;
    p.classes = {"x", "y"};
    p.columns = {"sex"};
    p.attributes.resize(1);
    for (const Case& c : cases) {
        p.image.push_back(name + std::to_string(p.image.size()));
        p.unit.push_back(p.image.back());
        p.label.push_back(c.label);
        p.prob.insert(p.prob.end(), {1 - c.y, c.y});
        p.pred.push_back(c.y > .5);
        p.split.emplace_back("test");
        p.attributes[0].push_back(c.group);
    }
    return p;
}

// For group a, y stands out above 0.3 and for b above 0.8; c has one class.
const Predictions& validation() {
    static const Predictions p = predictions("val", {{0, "a", .1},
                                                     {0, "a", .2},
                                                     {0, "a", .25},
                                                     {1, "a", .35},
                                                     {1, "a", .4},
                                                     {1, "a", .9},
                                                     {0, "b", .3},
                                                     {0, "b", .6},
                                                     {0, "b", .75},
                                                     {1, "b", .85},
                                                     {1, "b", .9},
                                                     {0, "c", .2},
                                                     {0, "c", .3},
                                                     {1, "", .4}});
    return p;
}

// Without offsets 4 of 7 are right: those of a but the second, the last of b, and that of c. With them 6: not the last,
// whose group is not known.
WithOffsets judged() {
    const Predictions test = predictions(
        "test", {{0, "a", .28}, {1, "a", .32}, {1, "a", .6}, {0, "b", .7}, {1, "b", .9}, {0, "c", .4}, {1, "", .4}});
    GroupOffsets offsets = choose_group_offsets(validation(), "sex", 2);
    offsets.data = "csv:a.csv";
    offsets.split_hash = "0123";
    return judge_with_offsets(offsets, test, {"sex"}, {.resamples = 0, .min_group_size = 1});
}

double odds(double y) { return std::log(y / (1 - y)); }

TEST(Offsets, AsJsonTheyAreThoseOfValidationAndTheFiguresThoseOfTheJudgedImages) {
    const WithOffsets w = judged();
    const auto document = nlohmann::ordered_json::parse(json_text(w.evaluation, std::nullopt, &w)).at("group_offsets");
    EXPECT_EQ(document.at("attribute"), "sex");
    EXPECT_EQ(document.at("validation"),
              (nlohmann::ordered_json{{"images", 14}, {"data", "csv:a.csv"}, {"split_hash", "0123"}}));
    const auto& a = document.at("groups").at("a");
    EXPECT_EQ(a.at("images"), 6);
    EXPECT_NEAR(a.at("offsets").at("x").get<double>(), (odds(.25) + odds(.35)) / 2, 1e-5);
    EXPECT_EQ(a.at("offsets").at("y"), 0);
    EXPECT_NEAR(a.at("balanced_accuracy").at("before").get<double>(), 2 / 3., 1e-5);
    EXPECT_NEAR(a.at("balanced_accuracy").at("after").get<double>(), 1, 1e-9);
    EXPECT_NEAR(document.at("groups").at("b").at("offsets").at("x").get<double>(), (odds(.75) + odds(.85)) / 2, 1e-5);
    const auto& c = document.at("groups").at("c");
    EXPECT_EQ(c.at("reason"), "fewer than two classes on validation");
    EXPECT_EQ(c.at("offsets"), (nlohmann::ordered_json{{"x", 0.}, {"y", 0.}}));
    EXPECT_FALSE(c.contains("balanced_accuracy"));
    const auto& report = document.at("report");
    EXPECT_NEAR(report.at("accuracy").at("value").get<double>(), 6 / 7., 1e-5);
    const auto& accuracy = report.at("comparison").at("accuracy");  // with them, and without
    EXPECT_NEAR(accuracy.at("model").get<double>(), 6 / 7., 1e-5);
    EXPECT_NEAR(accuracy.at("other").get<double>(), 4 / 7., 1e-5);
    EXPECT_NEAR(accuracy.at("value").get<double>(), 2 / 7., 1e-5);
    const auto& groups = report.at("attributes").at("sex").at("groups");
    EXPECT_EQ(groups.at("a").at("accuracy").at("value"), 1);
    EXPECT_EQ(groups.at("b").at("accuracy").at("value"), 1);
    EXPECT_EQ(groups.at("unknown").at("accuracy").at("value"), 0);
}

TEST(Offsets, AsTextEachGroupHasItsOwnLine) {
    const std::string text = to_text(judged());
    EXPECT_THAT(text, HasSubstr("a: x -0.859; balanced accuracy on its 6 validation images 0.6667 -> 1.0000\n"));
    EXPECT_THAT(text, HasSubstr("b: x +1.417; balanced accuracy on its 5 validation images 0.6667 -> 1.0000\n"));
    EXPECT_THAT(text, HasSubstr("c: none (fewer than two classes on validation)\n"));
    EXPECT_THAT(text, HasSubstr("must be told the group"));
}

}  // namespace
}  // namespace fp
