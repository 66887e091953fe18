// The page and the card from a small document: what must be in them, and that text from files stays text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <stack>

#include "engine/report/html.h"
#include "engine/report/model_card.h"
#include "engine/report/scan_html.h"
#include "engine/report/svg.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

ordered_json measure(double value) {
    return {{"value", value}, {"low", value - 0.1}, {"high", value + 0.1}};
}

ordered_json judged(double accuracy, double gap) {
    ordered_json out{{"samples", 100},
                     {"accuracy", measure(accuracy)},
                     {"balanced_accuracy", measure(accuracy)}};
    ordered_json& sex = out["attributes"]["sex"];
    for (const char* group : {"female", "<male>"})
        sex["groups"][group] = {
            {"samples", 50}, {"accuracy", measure(accuracy)}, {"macro_f1", measure(accuracy)}};
    sex["gaps"]["eodd_mean"] = {{"value", gap},     {"low", nullptr},   {"high", nullptr},
                                {"fair_low", 0.01}, {"fair_high", 0.1}, {"p", 0.2}};
    return out;
}

ordered_json document() {
    const ordered_json model{{"spec", {{"arch", "resnet18"}}},
                             {"image_size", 32},
                             {"parameters", 1000000},
                             {"macs", 2e6}};
    ordered_json r{{"title", "fairprune: resnet18 on <data>"},
                   {"command", "fp_prune --out 'a<b'"},
                   {"data", "csv:<data>"},
                   {"classes", {"a|b", "c"}},
                   {"best_round", 1},
                   {"verdict", "Balanced accuracy: no evidence of a change."}};
    r["settings"] = {{"criterion", "snnl"}, {"layers", "last"},     {"amount", "5"},
                     {"iterations", 1},     {"finetune", "all"},    {"definition", "exact"},
                     {"tap", "conv"},       {"attributes", {"sex"}}};
    r["tuning"] = {{"epochs", 2}, {"sampler", "shuffled"}};
    r["models"] = {{"dense", model}, {"pruned", model}};
    r["rounds"] = ordered_json::array();
    r["layers"] = ordered_json::array();
    r["speed"] = ordered_json::array();
    r["curves"] = ordered_json::array();
    ordered_json scores{{"layer", "layer4"}, {"attribute", "sex"}};
    scores["values"] = {0.9, nullptr, 1.0};
    scores["removed"] = {0};
    r["scores"] = ordered_json::array({scores});
    r["environment"] = {{"processor", "x<y"}};
    r["test"] = {{"dense", judged(0.8, 0.2)}, {"pruned", judged(0.7, 0.05)}};
    return r;
}

ordered_json with_sweep() {
    ordered_json r = document();
    ordered_json point{{"name", "snnl 5"},     {"control", false},     {"latency", 0.9},
                       {"latency_low", 0.875}, {"latency_high", 0.93}, {"dominated", false}};
    const ordered_json seeds{{"mean", 0.7}, {"sd", 0.1}, {"low", 0.6}, {"high", 0.8}};
    point["runs"] = ordered_json::array({{{"seed", 1}, {"parameters", 10}}});
    point["test"] = {{"balanced_accuracy", seeds}, {"gap", seeds}};
    point["val"] = {{"objective", seeds}};
    ordered_json fairer = seeds;
    fairer["low"] = -0.3;
    fairer["high"] = -0.1;
    fairer["p_holm"] = 0.01;
    point["against"]["dense, tuned alike"] = {{"gap", fairer}, {"balanced_accuracy", seeds}};
    r["sweep"] = {{"rule", "the best on validation"},
                  {"gap", "eodd_mean"},
                  {"attribute", "sex"},
                  {"selected", "snnl 5"}};
    r["sweep"]["points"] = ordered_json::array({point});
    r["sweep"]["rankings"] = {{"names", {"random", "snnl<5>"}}};
    r["sweep"]["rankings"]["tau"] = {ordered_json::array(), ordered_json::array({0.25})};
    return r;
}

// Every element that must be closed is, in order.
void expect_balanced(const std::string& html) {
    std::stack<std::string> open;
    for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
        const size_t end = html.find_first_of(" />", at + 1);
        if (html[at + 1] == '!') continue;
        const bool closes = html[at + 1] == '/';
        const std::string name = closes ? html.substr(at + 2, html.find('>', at) - at - 2)
                                        : html.substr(at + 1, end - at - 1);
        const size_t close = html.find('>', at);
        // These need no end tag, or stand alone.
        static const std::vector<std::string> kAlone{"meta", "th", "td", "p"};
        if (std::find(kAlone.begin(), kAlone.end(), name) != kAlone.end() || html[close - 1] == '/')
            continue;
        if (!closes) {
            open.push(name);
            continue;
        }
        ASSERT_FALSE(open.empty()) << name;
        ASSERT_EQ(open.top(), name) << html.substr(at > 80 ? at - 80 : 0, 120);
        open.pop();
    }
    EXPECT_TRUE(open.empty()) << open.top();
}

TEST(Report, IsOneBalancedPageWithoutScriptsOrLinks) {
    for (const ordered_json& r : {document(), with_sweep()}) {
        const std::string html = report_html(r);
        expect_balanced(html);
        for (const char* outside : {"<script", "http:", "https:", "src=", "<link", "@import"})
            EXPECT_THAT(html, Not(HasSubstr(outside)));
        EXPECT_THAT(html, HasSubstr("no evidence of a change"));
        EXPECT_THAT(html, HasSubstr("prefers-color-scheme:dark"));
        EXPECT_THAT(html, HasSubstr("@media print"));
    }
}

TEST(Report, TextOfFilesIsEscaped) {
    const std::string html = report_html(document());
    EXPECT_THAT(html, HasSubstr("&lt;male&gt;"));
    EXPECT_THAT(html, Not(HasSubstr("<male>")));
    EXPECT_THAT(html, Not(HasSubstr("on <data>")));
    EXPECT_THAT(html, Not(HasSubstr("x<y")));
}

TEST(Report, ASearchShowsItsRuleItsChoiceAndItsControls) {
    const std::string html = report_html(with_sweep());
    EXPECT_THAT(html, HasSubstr("the best on validation"));
    EXPECT_THAT(html, HasSubstr("chosen"));
    EXPECT_THAT(html, HasSubstr("smaller gap"));
    EXPECT_THAT(html, HasSubstr("<h3>Minus dense, tuned alike</h3>"));
    EXPECT_THAT(html, HasSubstr("Accuracy against gap"));
    EXPECT_THAT(html, HasSubstr("Accuracy against time"));
    EXPECT_THAT(html, HasSubstr("0.90x <span class=\"soft\">[0.88, 0.93]"));
    EXPECT_THAT(html, HasSubstr("<td>2. snnl&lt;5&gt;<td style"));
}

TEST(Report, WordsOfASearchGoByTheCorrectedP) {
    ordered_json many = with_sweep();
    many["sweep"]["points"][0]["against"]["dense, tuned alike"]["gap"]["p_holm"] = 0.4;
    const std::string html = report_html(many);
    EXPECT_THAT(html, Not(HasSubstr("smaller gap")));
    EXPECT_THAT(html, HasSubstr("no evidence of a difference"));
}

TEST(Report, AScanIsTwoTablesOfChanges) {
    ordered_json point{{"share", "10%"}};
    point["balanced_accuracy"] = {{"change", -0.1}, {"p_holm", 0.01}};
    point["gap"] = {{"change", -0.02}, {"p_holm", 0.5}};
    ordered_json scan{{"title", "scan of <data>"}, {"command", "fp_prune"}, {"criterion", "snnl"},
                      {"attribute", "sex"},        {"gap", "eodd_mean"},    {"shares", {"10%"}}};
    scan["dense"] = {{"balanced_accuracy", 0.5}, {"gap", 0.1}};
    scan["sets"] = {{{"set", "layer4"}, {"channels", 8}, {"points", ordered_json::array({point})}}};
    const std::string html = scan_html(scan);
    expect_balanced(html);
    EXPECT_THAT(html, HasSubstr("<td style=\"background:rgba(225,120,60,0.60)\"><b>-0.100</b>"));
    EXPECT_THAT(html, HasSubstr("<td style=\"background:rgba(80,140,210,0.60)\">-0.020"));
    EXPECT_THAT(html, HasSubstr("Gap by sex (dense: 0.100)"));
    EXPECT_THAT(html, Not(HasSubstr("<data>")));
}

TEST(Report, ScatterLeavesOutWhatIsNotKnown) {
    const std::string svg = scatter_chart({.title = "t", .x = "x", .y = "y"}, {{.number = 1,
                                                                                .x = 0.1,
                                                                                .y = 0.5,
                                                                                .x_low = kNone,
                                                                                .x_high = kNone,
                                                                                .y_low = kNone,
                                                                                .y_high = kNone},
                                                                               {.number = 2,
                                                                                .x = kNone,
                                                                                .y = 0.5,
                                                                                .x_low = kNone,
                                                                                .x_high = kNone,
                                                                                .y_low = kNone,
                                                                                .y_high = kNone},
                                                                               {.number = 3,
                                                                                .x = 0.2,
                                                                                .y = 0.6,
                                                                                .x_low = 0.1,
                                                                                .x_high = 0.3,
                                                                                .y_low = 0.5,
                                                                                .y_high = 0.7,
                                                                                .faint = true}});
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr(">2</text>")));
    EXPECT_THAT(svg, HasSubstr("hollow"));
}

TEST(ModelCard, SaysWhoWasJudgedAndWhatItIsNotFor) {
    const std::string card = model_card(document());
    EXPECT_THAT(card, HasSubstr("Not a medical device"));
    EXPECT_THAT(card, HasSubstr("| female | 50 | 0.700 [0.600, 0.800] |"));
    EXPECT_THAT(card, HasSubstr("shows 0.010 to 0.100 here"));
    EXPECT_THAT(card, HasSubstr("a\\|b, c"));
    EXPECT_THAT(card, HasSubstr("\\<male\\>"));
}

}  // namespace
}  // namespace fp
