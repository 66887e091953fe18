// Thresholds by hand and against every threshold there is.
#include "engine/fairness/threshold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/fairness/evaluate.h"
#include "engine/report/evaluation.h"
#include "tests/expect_error.h"
#include "tests/fairness/simulate.h"

namespace fp {
namespace {

using testing::expect_error;

Predictions two_classes(const std::vector<std::pair<double, int>>& cases) {
    Predictions p;
    p.classes = {"rest", "mel"};
    for (const auto& [probability, label] : cases)
        testing::add_case(p, label, probability >= 0.5, {1 - probability, probability});
    return p;
}

Threshold chosen(const Predictions& p, const std::string& rule, double specificity = 0.8) {
    return choose_threshold(p, "mel", parse_threshold(rule, specificity));
}

TEST(Threshold, ByHand) {
    //  .9+ .8- .7+ .6- .5+ .4- .3- .2- : cuts after each
    const Predictions p = two_classes({{.9, 1}, {.8, 0}, {.7, 1}, {.6, 0}, {.5, 1}, {.4, 0}, {.3, 0}, {.2, 0}});
    // f1: 1/2, 2/5, 4/6, 4/7, 6/8, ... after .5 is best.
    EXPECT_NEAR(chosen(p, "f1").value, 0.45, 1e-12);
    EXPECT_NEAR(chosen(p, "f1").chosen_on->f1, 0.75, 1e-12);
    // youden: 1/3, 1/3 - 1/5, 2/3 - 1/5, 2/3 - 2/5, 1 - 2/5.
    EXPECT_NEAR(chosen(p, "youden").value, 0.45, 1e-12);
    const Threshold strict = chosen(p, "specificity", 0.8);
    EXPECT_NEAR(strict.value, 0.65, 1e-12);
    EXPECT_NEAR(strict.chosen_on->sensitivity, 2.0 / 3, 1e-12);
    EXPECT_NEAR(strict.chosen_on->specificity, 0.8, 1e-12);
    EXPECT_NEAR(chosen(p, "specificity", 1).value, 0.85, 1e-12);
    const Threshold fixed = chosen(p, "0.7");
    EXPECT_EQ(fixed.value, 0.7);
    EXPECT_NEAR(fixed.chosen_on->sensitivity, 2.0 / 3, 1e-12);
    EXPECT_EQ(fixed.chosen_on->images, 8);
    EXPECT_EQ(fixed.chosen_on->positives, 3);
    const Predictions cut = at_threshold(p, "mel", 0.65);
    EXPECT_EQ(cut.pred, (std::vector<int>{1, 1, 1, 0, 0, 0, 0, 0}));
    EXPECT_EQ(cut.classes, (std::vector<std::string>{"not mel", "mel"}));
    EXPECT_EQ(cut.label, p.label);
    EXPECT_FALSE(cut.has_probabilities());
}

TEST(Threshold, SensitivityOfEachGroup) {
    Predictions p = two_classes({{.9, 1}, {.8, 0}, {.7, 1}, {.6, 0}, {.5, 1}, {.4, 0}});
    p.columns = {"sex"};
    p.attributes = {{"f", "f", "m", "m", "m", "m"}};
    const Report r = evaluate(at_threshold(p, "mel", 0.65), {"sex"}, {.resamples = 0});
    const std::string text = sensitivity_text(r, 1);
    EXPECT_NE(text.find("all                 0.6667                   0.6667"), text.npos) << text;
    EXPECT_NE(text.find("f                   1.0000                   0.0000"), text.npos);
    EXPECT_NE(text.find("m                   0.5000                   1.0000"), text.npos);
}

TEST(Threshold, EqualProbabilitiesAreNotParted) {
    const Predictions p = two_classes({{.9, 1}, {.5, 1}, {.5, 0}, {.5, 1}, {.1, 0}});
    const Threshold t = chosen(p, "f1");
    EXPECT_NEAR(t.value, 0.3, 1e-12);
    EXPECT_EQ(t.chosen_on->sensitivity, 1);
    EXPECT_EQ(t.chosen_on->specificity, 0.5);
}

TEST(Threshold, NoOtherCutIsBetter) {
    testing::Stream stream(5);
    std::vector<std::pair<double, int>> cases;
    for (int i = 0; i < 300; ++i) {
        const double u = stream.next();
        cases.emplace_back(std::round(u * 50) / 50, stream.next() < 0.2 + 0.5 * u);
    }
    const Predictions p = two_classes(cases);
    for (const char* rule : {"f1", "youden", "specificity"}) {
        const Threshold best = chosen(p, rule, 0.9);
        const Predictions cut = at_threshold(p, "mel", best.value);
        double highest = -1, own = -1;
        for (int k = 0; k <= 101; ++k) {
            double tp = 0, called = 0, truth = 0, threshold = k / 100.0 - 0.005;
            if (k == 101) threshold = best.value;
            for (const auto& [probability, label] : cases) {
                tp += label && probability >= threshold;
                called += probability >= threshold;
                truth += label;
            }
            const double sensitivity = tp / truth, specificity = 1 - (called - tp) / (double(cases.size()) - truth);
            const double merit = rule[0] == 'f'             ? 2 * tp / (called + truth)
                                 : rule[0] == 'y'           ? sensitivity + specificity
                                 : specificity >= .9 - 1e-9 ? sensitivity
                                                            : -1;
            highest = std::max(highest, merit);
            if (k == 101) {
                own = merit;
                EXPECT_NEAR(best.chosen_on->sensitivity, sensitivity, 1e-12);
                EXPECT_NEAR(best.chosen_on->specificity, specificity, 1e-12);
            }
        }
        EXPECT_EQ(own, highest) << rule;
        const Report r = evaluate(cut, {}, {.resamples = 0});
        EXPECT_NEAR(r.metric("balanced_accuracy").value,
                    (best.chosen_on->sensitivity + best.chosen_on->specificity) / 2, 1e-12);
    }
}

TEST(Threshold, WhatCannotBeChosenIsRefused) {
    const Predictions p = two_classes({{.9, 0}, {.5, 1}, {.1, 0}});
    expect_error(
        Exit::usage, [&] { chosen(p, "best"); }, "best", "youden");
    expect_error(
        Exit::usage, [&] { chosen(p, "1.5"); }, "1.5");
    expect_error(
        Exit::usage, [&] { choose_threshold(p, "nv", {}); }, "no class nv");
    expect_error(
        Exit::data, [&] { chosen(p, "specificity", 1); }, "specificity of at least 1");
    expect_error(
        Exit::data,
        [&] {
            chosen(two_classes({{.9, 0}, {.5, 0}}), "f1");
        },
        "0 images of the class");
    Predictions bare = p;
    bare.prob.clear();
    expect_error(
        Exit::data, [&] { chosen(bare, "f1"); }, "probabilities");
    expect_error(
        Exit::data, [&] { require_apart(p, p); }, "3 are in both");
}

}  // namespace
}  // namespace fp
