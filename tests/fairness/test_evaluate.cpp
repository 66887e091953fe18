#include "engine/eval/predictions_file.h"
#include "engine/fairness/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <cmath>
#include <sstream>

#include "engine/report/evaluation.h"
#include "tests/expect_error.h"
#include "tests/fairness/simulate.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

Predictions parse(const std::string& text) { return predictions_of(parse_csv(text, "p.csv")); }

// Adds `n` rows to a CSV of image,label,pred,sex,age,lesion_id, a lesion each.
struct Csv {
    std::string text = "image,label,pred,sex,age,lesion_id\n";
    int next = 0;
    Csv& add(int n, const std::string& label, const std::string& pred, const std::string& groups) {
        for (int i = 0; i < n; ++i, ++next)
            text += "i" + std::to_string(next) + "," + label + "," + pred + "," + groups + ",l" + std::to_string(next) +
                    "\n";
        return *this;
    }
    Predictions predictions() const { return parse(text); }
};

Csv women_and_men() {
    Csv csv;
    csv.add(30, "x", "x", "female,40").add(10, "x", "y", "female,70").add(20, "y", "y", "female,70");
    csv.add(20, "x", "x", "male,40").add(20, "x", "y", "male,70").add(20, "y", "y", "male,30");
    return csv;
}

TEST(Evaluate, ValuesByHand) {
    const Report report = evaluate(women_and_men().predictions(), {"sex"}, {.resamples = 0});
    EXPECT_EQ(report.samples, 120);
    EXPECT_EQ(report.unit, "lesion_id");
    EXPECT_DOUBLE_EQ(report.metric("accuracy").value, .75);
    const AttributeReport& sex = report.attribute("sex");
    EXPECT_DOUBLE_EQ(sex.group("female").metric("accuracy").value, 50.0 / 60);
    EXPECT_DOUBLE_EQ(sex.group("male").metric("accuracy").value, 40.0 / 60);
    EXPECT_NEAR(sex.gap("eopp1").value, .25 / 2, 1e-15);
    EXPECT_EQ(sex.group("male").confusion.count, (std::vector<int64_t>{20, 20, 0, 20}));
    EXPECT_EQ(sex.group("male").classes[0].positives, 40);
    EXPECT_EQ(sex.worst[0].group, "male");
}

TEST(Evaluate, WithoutResamplesTheReasonSaysSo) {
    const Report report = evaluate(women_and_men().predictions(), {"sex"}, {.resamples = 0});
    EXPECT_TRUE(std::isnan(report.metric("accuracy").low));
    EXPECT_THAT(report.metric("accuracy").reason, HasSubstr("no resamples"));
    const Gap& gap = report.attribute("sex").gap("eodd");
    EXPECT_TRUE(std::isnan(gap.p) && std::isnan(gap.fair_high) && std::isnan(gap.rms));
    EXPECT_THAT(gap.reason, HasSubstr("no resamples"));
    EXPECT_THAT(gap.rms_reason, HasSubstr("no resamples"));
}

TEST(Evaluate, ASummaryHasNoLossWithoutProbabilities) {
    const Summary summary = summarize(women_and_men().predictions(), {});
    EXPECT_DOUBLE_EQ(summary.metric("accuracy"), .75);
    EXPECT_TRUE(std::isnan(summary.loss));
    EXPECT_NEAR(summarize(parse("image,label,prob_x,prob_y\na,x,.5,.5\nb,y,.75,.25\n"), {}).loss,
                -(std::log(.5) + std::log(.25)) / 2, 1e-15);
}

TEST(Evaluate, FiguresDoNotDependOnThreads) {
    const auto p = women_and_men().predictions();
    // Enough work that it is really shared: a thread is not started for less than half a million visits.
    const EvaluateOptions options{.resamples = 15000};
    EvaluateOptions alone = options, shared = options;
    alone.threads = 1;
    shared.threads = 3;
    const auto one = to_json(evaluate(p, {"sex"}, alone));
    const auto three = to_json(evaluate(p, {"sex"}, shared));
    EXPECT_EQ(one, three);
}

TEST(Evaluate, AnIdentifierIsNoAttribute) {
    Csv csv = women_and_men();
    for (int i = 0; i < 60; ++i) csv.add(1, "x", "y", "group" + std::to_string(i) + ",");
    EXPECT_THROW(evaluate(csv.predictions(), {"sex"}, {.resamples = 0}), Error);
}

TEST(Evaluate, UnknownIsShownAndLeftOutOfGaps) {
    Csv csv = women_and_men();
    const Report before = evaluate(csv.predictions(), {"sex"}, {.resamples = 40});
    csv.add(40, "x", "y", "unknown,").add(20, "y", "x", ",");
    const Report report = evaluate(csv.predictions(), {"sex"}, {.resamples = 40});
    const AttributeReport& sex = report.attribute("sex");
    EXPECT_EQ(sex.unknown, 60);
    EXPECT_EQ(sex.groups.size(), 3u);
    EXPECT_DOUBLE_EQ(sex.group("unknown").metric("accuracy").value, 0);
    EXPECT_FALSE(sex.group("unknown").in_gaps);
    EXPECT_EQ(sex.group("unknown").reason, "the group is not known");
    EXPECT_EQ(sex.worst[0].group, "male");
    for (const Gap& g : sex.gaps) {
        const Gap& other = before.attribute("sex").gap(g.key);
        EXPECT_TRUE(g.value == other.value || std::isnan(g.value)) << g.key;
        EXPECT_TRUE(g.fair_high == other.fair_high || std::isnan(g.value)) << g.key;
    }
}

TEST(Evaluate, SmallGroupsAreShownAndLeftOutOfGaps) {
    Csv csv = women_and_men();
    csv.add(9, "x", "y", "other,40");
    const Report report = evaluate(csv.predictions(), {"sex"}, {.resamples = 0});
    const AttributeReport& sex = report.attribute("sex");
    EXPECT_FALSE(sex.group("other").in_gaps);
    EXPECT_THAT(sex.group("other").reason, HasSubstr("9 units"));
    EXPECT_EQ(sex.groups_left_out, 1);
    EXPECT_EQ(sex.samples_left_out, 9);
    EXPECT_EQ(sex.worst[0].group, "male");
    const Report all = evaluate(csv.predictions(), {"sex"}, {.resamples = 0, .min_group_size = 9});
    EXPECT_EQ(all.attribute("sex").worst[0].group, "other");
    EXPECT_EQ(all.attribute("sex").gap("eopp1").group_b, "other");
}

TEST(Evaluate, OneGroupHasNoGapsAndSaysWhy) {
    Csv csv;
    csv.add(20, "x", "x", "female,40").add(20, "y", "x", "female,40");
    const AttributeReport sex = evaluate(csv.predictions(), {"sex"}).attribute("sex");
    EXPECT_TRUE(sex.gaps.empty());
    EXPECT_EQ(sex.no_gaps, "1 known group of at least 10 units");
}

TEST(Evaluate, IntersectionsHaveTheirWorstPair) {
    const Report report = evaluate(women_and_men().predictions(), {"sex*age:60"}, {.resamples = 20});
    const AttributeReport& crossed = report.attribute("sex*age:60");
    EXPECT_EQ(crossed.groups.size(), 4u);
    const Gap& gap = crossed.gap("accuracy");
    EXPECT_DOUBLE_EQ(gap.value,
                     1);  // men of 60 and over are always wrong, others may be always right
    EXPECT_LT(gap.mean_pair, 1);
    EXPECT_NE(gap.group_a, gap.group_b);
}

TEST(Evaluate, LesionsInTwoGroupsAreCounted) {
    Csv csv = women_and_men();
    csv.text += "a,x,x,female,40,shared\nb,x,y,male,40,shared\nc,x,y,,40,shared\n";
    const Report report = evaluate(csv.predictions(), {"sex"}, {.resamples = 20});
    EXPECT_EQ(report.units, 121);
    EXPECT_EQ(report.attribute("sex").units_in_two_groups, 1);
    EXPECT_EQ(report.attribute("sex").group("male").samples, 61);
}

// Images of one lesion err together: taking them for independent would make intervals too narrow.
TEST(Evaluate, LesionsAreResampledWhole) {
    std::string together = "image,label,pred,lesion_id\n", apart = together;
    for (int i = 0; i < 400; ++i) {
        const std::string row = "i" + std::to_string(i) + ",x," + ((i / 8) % 3 ? "x" : "y") + ",";
        together += row + "l" + std::to_string(i / 8) + "\n";
        apart += row + "l" + std::to_string(i) + "\n";
    }
    const auto width = [](const std::string& text) {
        const Report report = evaluate(parse(text), {}, {.resamples = 400});
        return report.metric("accuracy").high - report.metric("accuracy").low;
    };
    EXPECT_NEAR(width(together) / width(apart), std::sqrt(8.0), .4);
}

TEST(Evaluate, NotEstimableIsNullWithAReason) {
    Csv csv = women_and_men();
    const Json json = to_json(evaluate(csv.predictions(), {"sex"}, {.resamples = 30}));
    EXPECT_TRUE(json["macro_auc"]["value"].is_null());
    EXPECT_THAT(json["macro_auc"]["reason"].get<std::string>(), HasSubstr("no probabilities"));
    EXPECT_TRUE(json["attributes"]["sex"]["gaps"]["macro_auc"]["value"].is_null());
    EXPECT_TRUE(json["attributes"]["sex"]["gaps"]["eodd_max"]["rms"].is_null());
    EXPECT_THAT(json["attributes"]["sex"]["gaps"]["eodd_max"]["rms_reason"].get<std::string>(), HasSubstr("maximum"));

    Csv one;
    one.add(20, "x", "x", "female,40").add(20, "y", "y", "male,40");
    const Json gaps = to_json(evaluate(one.predictions(), {"sex"}, {.resamples = 30}));
    const Json& female = gaps["attributes"]["sex"]["groups"]["female"];
    EXPECT_TRUE(female["per_class"]["y"]["tpr"]["value"].is_null());
    EXPECT_EQ(female["per_class"]["y"]["tpr"]["reason"], "n=20, 0 positive");
    EXPECT_EQ(female["per_class"]["x"]["fpr"]["reason"], "n=20, 0 negative");
    EXPECT_TRUE(gaps["attributes"]["sex"]["gaps"]["eopp1_present"]["value"].is_null());
}

TEST(Evaluate, AGroupIsSmallByItsLesions) {
    Csv csv = women_and_men();
    for (int i = 0; i < 60; ++i)
        csv.text += "s" + std::to_string(i) + ",x,x,other,40,of" + std::to_string(i % 9) + "\n";
    const GroupReport other = evaluate(csv.predictions(), {"sex"}, {.resamples = 0}).attribute("sex").group("other");
    EXPECT_FALSE(other.in_gaps);
    EXPECT_EQ(other.reason, "9 units, smallest group for gaps is 10");
}

TEST(Evaluate, ARateOfOneLesionHasWilsonsInterval) {
    Csv csv = women_and_men();
    csv.add(1, "z", "z", "male,40");  // absent from exp(-1) of the resamples
    const Report report = evaluate(csv.predictions(), {"sex"}, {.resamples = 400});
    const Measure& tpr = report.attribute("sex").group("male").classes[2].tpr;
    EXPECT_DOUBLE_EQ(tpr.value, 1);
    EXPECT_NEAR(tpr.low, 1 / (1 + 1.959964 * 1.959964), 1e-5);
    EXPECT_DOUBLE_EQ(tpr.high, 1);
}

TEST(Evaluate, JsonHasTheShapeThatScriptsRelyOn) {
    const auto p = testing::simulate(testing::two_groups({60, 80, 40}, {50, 70, 60}, .7, .3, 1), 2);
    const Json json = Json::parse(to_json(evaluate(p, {"sex"}, {.resamples = 60})).dump());
    EXPECT_EQ(json["samples"], 360);
    EXPECT_EQ(json["classes"].size(), 3u);
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"}) {
        const Json& m = json[key];
        EXPECT_LE(m["low"].get<double>(), m["value"].get<double>()) << key;
        EXPECT_GE(m["high"].get<double>(), m["value"].get<double>()) << key;
        EXPECT_TRUE(json["attributes"]["sex"]["groups"]["a"][key].contains("value")) << key;
    }
    for (const char* key : {"eopp0", "eopp1", "eopp1_present", "eodd", "eodd_tnr", "eodd_mean", "eodd_max", "dp",
                            "accuracy", "accuracy_standardised", "pqd", "dpm", "eom", "nar"}) {
        const Json& g = json["attributes"]["sex"]["gaps"][key];
        for (const char* field :
             {"value", "low", "high", "fair_low", "fair_high", "p", "rms", "rms_low", "rms_high", "formula"})
            EXPECT_TRUE(g.contains(field)) << key << " " << field;
        EXPECT_TRUE(g["fair_low"].is_number() && g["fair_high"].is_number() && g["p"].is_number());
        EXPECT_TRUE(g["low"].is_number() || g["reason"].is_string());
        EXPECT_FALSE(g.contains("p_holm")) << key;  // it describes
        EXPECT_EQ(g["permuted"], "within diagnosis");
    }
    const Json& primary = json["attributes"]["sex"]["primary"];
    EXPECT_EQ(primary["key"], "eodd_rms");
    for (const char* field : {"rms", "rms_squared", "low", "high", "fair_high", "p", "p_holm", "classes", "pairs"})
        EXPECT_TRUE(primary[field].is_number()) << field;
    EXPECT_TRUE(primary["formula"].is_string() && primary["verdict"].is_string());
    const Json& worst = json["attributes"]["sex"]["worst_group"]["accuracy"];
    EXPECT_TRUE(worst["group"].is_string() && worst["stays_worst"].is_number());
    EXPECT_EQ(json["attributes"]["sex"]["groups"]["b"]["samples"], 180);
}

TEST(Evaluate, TextFitsEightyColumns) {
    Csv csv = women_and_men();
    csv.add(12, "x", "y", "a group whose name is long and holds \x07,40");
    std::istringstream text(to_text(evaluate(csv.predictions(), {"sex"}, {.resamples = 40})));
    for (std::string line; std::getline(text, line);) {
        EXPECT_LE(line.size(), 80u) << line;
        EXPECT_EQ(line.find('\x07'), std::string::npos);
    }
}

TEST(Evaluate, SensitivityOfANamedClass) {
    const auto p = parse(
        "image,label,prob_x,prob_y\n"
        "a,x,.9,.1\nb,x,.3,.7\nc,y,.6,.4\nd,y,.2,.8\ne,y,.1,.9\nf,y,.4,.6\ng,y,.25,.75\n");
    const auto at = [&](double specificity) {
        const Report r = evaluate(p, {}, {.resamples = 0, .positive = "x", .specificity = specificity});
        return r.metric("sensitivity").value;
    };
    EXPECT_DOUBLE_EQ(at(.8), .5);
    EXPECT_DOUBLE_EQ(at(.6), 1);
    testing::expect_error(
        Exit::usage, [&] { evaluate(p, {}, {.resamples = 0, .positive = "z"}); }, "no class z", "x, y");
}

}  // namespace
}  // namespace fp
