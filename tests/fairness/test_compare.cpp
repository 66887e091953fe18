#include "engine/fairness/compare.h"
#include "engine/report/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "tests/expect_error.h"
#include "tests/fairness/simulate.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

const Difference& find(const std::vector<Difference>& differences, std::string_view key) {
    return *std::find_if(differences.begin(), differences.end(), [&](const auto& d) { return d.key == key; });
}

// The same images under two models: `base` rows keep their truth, predictions are drawn anew.
Predictions another_model(const Predictions& base, double tpr_a, double tpr_b, uint64_t seed) {
    Predictions p = base;
    testing::Stream stream(seed);
    const int classes = int(p.classes.size());
    for (int64_t i = 0; i < p.size(); ++i) {
        const bool hit = stream.next() < (p.attributes[0][i] == "a" ? tpr_a : tpr_b);
        const int miss = (p.label[i] + 1 + stream.below(classes - 1)) % classes;
        p.pred[i] = hit ? p.label[i] : miss;
    }
    return p;
}

Predictions base() { return testing::simulate(testing::two_groups({90, 80, 70}, {80, 90, 60}, .7, 0, 1), 2); }

TEST(Compare, AModelIsNotDifferentFromItself) {
    const auto p = base();
    const Comparison c = compare(p, p, {"sex"}, {.resamples = 50});
    for (const Difference& d : c.metrics) {
        if (std::isnan(d.value)) continue;
        EXPECT_EQ(d.value, 0);
        EXPECT_EQ(d.p, 1);
        EXPECT_EQ(d.low, 0);
        EXPECT_EQ(d.high, 0);
    }
    for (const Difference& d : c.attributes[0].gaps) {
        if (std::isnan(d.value)) continue;
        EXPECT_EQ(d.value, 0) << d.key;
        EXPECT_TRUE(std::isnan(d.p)) << d.key;
        if (!std::isnan(d.rms_squared)) {
            EXPECT_EQ(d.rms_squared, 0);
        }
    }
    const PrimaryDifference& primary = c.attributes[0].primary;
    EXPECT_EQ(primary.value, 0);
    EXPECT_NEAR(primary.sd, 0, 1e-12);
    EXPECT_EQ(primary.p, 1);
    EXPECT_THAT(primary.verdict, HasSubstr("no difference of the gap was detected (p = 1, Holm 1)"));
    for (const Measure& fate : c.attributes[0].fate) EXPECT_EQ(fate.value, 0);
}

TEST(Compare, ValuesAreThoseOfEvaluate) {
    const auto p = base(), q = another_model(p, .9, .5, 3);
    const Comparison c = compare(p, q, {"sex"}, {.resamples = 30});
    const Report of_p = evaluate(p, {"sex"}, {.resamples = 30}), of_q = evaluate(q, {"sex"}, {.resamples = 30});
    EXPECT_EQ(find(c.metrics, "macro_f1").model, of_p.metric("macro_f1").value);
    EXPECT_EQ(find(c.metrics, "macro_f1").other, of_q.metric("macro_f1").value);
    for (const Gap& g : of_p.attribute("sex").gaps) {
        const Difference& d = find(c.attributes[0].gaps, g.key);
        const Gap& other = of_q.attribute("sex").gap(g.key);
        if (std::isnan(g.value)) continue;
        EXPECT_EQ(d.model, g.value) << g.key;
        EXPECT_EQ(d.other, other.value) << g.key;
        // The same resamples, so the same rms.
        if (!std::isnan(g.rms_squared)) {
            EXPECT_NEAR(d.rms_squared, g.rms_squared - other.rms_squared, 1e-15) << g.key;
        }
    }
    const PrimaryDifference& primary = c.attributes[0].primary;
    EXPECT_NEAR(primary.model, of_p.attribute("sex").primary.rms_squared, 1e-15);
    EXPECT_NEAR(primary.other, of_q.attribute("sex").primary.rms_squared, 1e-15);
    EXPECT_NEAR(primary.value, primary.model - primary.other, 1e-15);
}

TEST(Compare, ASmallerGapIsCalledSmallerAndNotFairer) {
    const auto p = base(), unfair = another_model(p, .95, .4, 3);
    const Comparison c = compare(p, unfair, {"sex"}, {.resamples = 400});
    const PrimaryDifference& d = c.attributes[0].primary;
    EXPECT_LT(d.value, -.04);
    EXPECT_LT(d.high, 0);
    EXPECT_LT(d.p_holm, .001);
    EXPECT_THAT(d.verdict, ::testing::StartsWith("this network's gap is smaller than the other's (p = "));
    const Difference& eopp1 = find(c.attributes[0].gaps, "eopp1");
    EXPECT_LT(eopp1.value, -.3);
    EXPECT_TRUE(std::isnan(eopp1.low));
    EXPECT_LT(eopp1.rms_squared_high, 0);
    const PrimaryDifference back = compare(unfair, p, {"sex"}, {.resamples = 400}).attributes[0].primary;
    EXPECT_THAT(back.verdict, HasSubstr("is larger than"));
    EXPECT_NEAR(back.value, -d.value, 1e-15);
    EXPECT_NEAR(back.sd, d.sd, 1e-12);
}

TEST(Compare, ALossIsJudgedAgainstTheMargin) {
    const auto p = base(), worse = another_model(p, .5, .5, 3);
    const auto accuracy = [](const Predictions& a, const Predictions& b, double margin) {
        return find(compare(a, b, {}, {.resamples = 400, .margin = margin}).metrics, "accuracy");
    };
    const Difference lost = accuracy(worse, p, .02);
    EXPECT_EQ(lost.harm, Harm::worse);
    EXPECT_EQ(lost.verdict, "worse");
    EXPECT_NEAR(lost.largest_loss(), -lost.low, 1e-15);
    EXPECT_EQ(accuracy(worse, p, .9).verdict, "worse, but not by more than 0.9");
    EXPECT_EQ(accuracy(p, worse, .02).verdict, "better");
    const Predictions alike = another_model(p, .7, .7, 8);
    EXPECT_THAT(accuracy(alike, p, .001).verdict, ::testing::ContainsRegex("a loss of 0\\.0[0-9]+ is not excluded"));
    EXPECT_EQ(accuracy(alike, p, .5).verdict, "not worse by more than 0.5");
    EXPECT_EQ(accuracy(p, p, .02).harm, Harm::within_margin);
}

TEST(Compare, FateByHand) {
    const auto p = base(), q = another_model(p, .9, .5, 3);
    const Comparison c = compare(p, q, {"sex"}, {.resamples = 200});
    const auto change = [](const Difference& d) { return d.value / d.other; };
    const double gap = change(find(c.attributes[0].gaps, "eodd"));
    const Measure &f1 = c.attributes[0].fate[0], &accuracy = c.attributes[0].fate[1];
    EXPECT_NEAR(f1.value, change(find(c.metrics, "macro_f1")) - gap, 1e-15);
    EXPECT_NEAR(accuracy.value, change(find(c.metrics, "accuracy")) - gap, 1e-15);
    EXPECT_TRUE(std::isnan(f1.low) && std::isnan(f1.high));
    EXPECT_THAT(f1.reason, HasSubstr("no interval of it covers"));
}

TEST(Compare, FateOfAModelThatKnowsNothingIsSaidToMeanNothing) {
    const auto p = base(), q = another_model(p, .9, .5, 3);
    Predictions constant = p;
    std::fill(constant.pred.begin(), constant.pred.end(), 0);
    const AttributeComparison broken = compare(constant, q, {"sex"}, {.resamples = 20}).attributes[0];
    EXPECT_GT(broken.fate[1].value, 0);
    EXPECT_THAT(broken.fate_note, HasSubstr("above 0 although"));
    EXPECT_EQ(compare(p, p, {"sex"}, {.resamples = 20}).attributes[0].fate_note, "");
}

TEST(Compare, FateIsNotEstimableWithoutAGap) {
    const auto p = base();
    Predictions perfect = p;
    perfect.pred = perfect.label;
    const Comparison c = compare(p, perfect, {"sex"}, {.resamples = 20});
    EXPECT_TRUE(std::isnan(c.attributes[0].fate[0].value));
    EXPECT_THAT(c.attributes[0].fate[0].reason, HasSubstr("is 0"));
    EXPECT_TRUE(to_json(c)["attributes"]["sex"]["fate_f1"]["value"].is_null());
}

TEST(Compare, OrderOfRowsAndClassesDoesNotMatter) {
    const auto p = base(), q = another_model(p, .9, .5, 3);
    std::vector<int64_t> backwards(p.size());
    for (int64_t i = 0; i < p.size(); ++i) backwards[i] = p.size() - 1 - i;
    Predictions other = rows_of(q, backwards);
    std::reverse(other.classes.begin(), other.classes.end());
    for (int& c : other.label) c = 2 - c;
    for (int& c : other.pred) c = 2 - c;
    EXPECT_EQ(to_json(compare(p, q, {"sex"}, {.resamples = 20})),
              to_json(compare(p, other, {"sex"}, {.resamples = 20})));
}

TEST(Compare, ModelsMustBeJudgedAlike) {
    const auto p = base();
    const auto refuse = [&](const Predictions& other, const std::string& text) {
        expect_error(
            Exit::data, [&] { compare(p, other, {"sex"}); }, text);
    };
    refuse(rows_of(p, {0, 1, 2}), "470 and 3");
    Predictions q = p;
    q.image[7] = "elsewhere";
    refuse(q, "469 are the same");
    q = p;
    q.label[7] = (q.label[7] + 1) % 3;
    refuse(q, "image i7");
    q = p;
    q.classes[1] = "another";
    refuse(q, "only one of the two models knows the class");
}

TEST(Compare, TextFitsEightyColumns) {
    const auto p = base();
    const std::string text = to_text(compare(p, another_model(p, .9, .5, 3), {"sex"}, {.resamples = 30}));
    size_t start = 0;
    for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1)
        EXPECT_LE(end - start, 80u) << text.substr(start, end - start);
}

}  // namespace
}  // namespace fp
