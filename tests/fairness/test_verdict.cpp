// What a verdict says: no loss and no gap beyond its range is hidden, nothing is called fairer.
#include "engine/fairness/verdict.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/fairness/verdict_words.h"
#include "engine/report/evaluation.h"
#include "tests/fairness/simulate.h"
#include "tests/fairness/verdict_case.h"

namespace fp {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using namespace testing::verdicts;

constexpr double kLeast = 1.0 / 2001;  // the p that 2000 resamples can show

// A pruned network of which "no evidence of a change" was printed, for its equalized-odds gap alone.
Case pruned_to_half() {
    Case c({{"accuracy", .532, .449, kLeast, 24 * kLeast, -.12, -.045},
            {"balanced_accuracy", .37, .35, .3, 1, -.06, .02},
            {"macro_f1", .358, .276, kLeast, 24 * kLeast, -.13, -.03}});
    c.gap("age:60", {"eodd_mean", .09, .1, .6, 1}, .04, .11)
        .gap("age:60", {"dp", .5, .58, .2, 1}, .04, .14, .012, 0, kOverAll)
        .gap("age:60", {"accuracy", .12, .161, .3, 1}, 0, .051, .012, 0, kOverAll);
    return c;
}

TEST(Verdict, EveryMetricThatFellAndEveryGapBeyondItsRangeIsNamed) {
    const Verdict v = pruned_to_half().verdict();
    EXPECT_EQ(kinds(v), (std::vector<std::string>{"gap dp age:60", "gap accuracy age:60", "fell accuracy",
                                                  "fell macro_f1", "unchanged balanced_accuracy"}));
    EXPECT_THAT(v.summary, AllOf(HasSubstr("Fell: accuracy 0.532 to 0.449, macro-F1 0.358 to 0.276."),
                                 HasSubstr("No evidence of a change: balanced accuracy."),
                                 HasSubstr("By age:60 2 of 3 gaps lie beyond the fair range; furthest in rates: the "
                                           "gap in accuracy, 0.161 (range 0.000 to 0.051)."),
                                 HasSubstr("No evidence that a gap shrank or grew."), HasSubstr("not two methods.")));
    const Finding& accuracy = finding(v, FindingKind::fell, "accuracy");
    EXPECT_EQ(accuracy.text, "accuracy fell from 0.532 to 0.449 (-0.083 [-0.120, -0.045], p <= 0.0005, Holm <= 0.012)");
    EXPECT_NEAR(accuracy.size, .083, 1e-12);
    EXPECT_THAT(finding(v, FindingKind::gap, "accuracy").text,
                HasSubstr("the gap in accuracy by age:60 is 0.161, beyond its fair range 0.000 to 0.051"));
    EXPECT_THAT(finding(v, FindingKind::gap, "dp").text, HasSubstr("case mix"));
    EXPECT_NEAR(finding(v, FindingKind::gap, "dp").size, .44, 1e-12);
    EXPECT_THAT(finding(v, FindingKind::unchanged, "balanced_accuracy").text,
                HasSubstr("a loss of 0.060 is not excluded"));
}

TEST(Verdict, JsonHasTheNumbersOfEachFinding) {
    const Case c = pruned_to_half();
    Evaluation e{.report = c.report, .comparison = c.comparison, .verdict = c.verdict()};
    e.report.classes.clear();  // it has no figures of classes
    const auto json = nlohmann::ordered_json::parse(json_text(e, {}));
    const auto& found = json["verdict"]["findings"];
    EXPECT_EQ(json["verdict"]["summary"], e.verdict.summary);
    EXPECT_EQ(found[0]["kind"], "gap");
    EXPECT_EQ(found[0]["attribute"], "age:60");
    EXPECT_EQ(found[0]["fair_high"], .14);
    EXPECT_FALSE(found[2].contains("attribute"));
    EXPECT_EQ(found[2]["before"], .532);
    EXPECT_EQ(found[2]["p_holm"], 24 * kLeast);
}

TEST(Verdict, ALossIsNotHiddenByTheCorrectionAndAGainIsNotShownWithoutIt) {
    const Verdict v =
        Case({{"accuracy", .8, .75, .02, .5, -.09, -.01}, {"macro_f1", .7, .75, .02, .5, .01, .09}}).verdict();
    EXPECT_EQ(kinds(v), (std::vector<std::string>{"fell accuracy", "unchanged macro_f1"}));
    EXPECT_THAT(v.findings[0].text, HasSubstr("after correction this may be chance"));
    EXPECT_THAT(v.summary, HasSubstr("Fell: accuracy 0.800 to 0.750 (not after correction)."));
    EXPECT_THAT(v.findings[1].text, AllOf(HasSubstr("no evidence of a change after correction"),
                                          Not(HasSubstr("excluded"))));  // its interval has no loss
    const Verdict held = Case({{"macro_f1", .7, .75, .001, .02, .01, .09}}).verdict();
    EXPECT_EQ(held.findings[0].text,
              "macro-F1 rose from 0.700 to 0.750 (+0.050 [+0.010, +0.090], p = 0.001, Holm 0.02)");
}

TEST(Verdict, AGapThatShrankBecauseTheBetterGroupLostIsLevelledDown) {
    Case c({{"accuracy", .8, .7, .001, .02, -.15, -.05}});
    c.gap("sex", {"eopp1", .3, .1, .001, .02}, 0, .15)
        .group("sex", "female", {"accuracy", .9, .7, kNotEstimable, kNotEstimable, -.25, -.15})
        .group("sex", "male", {"accuracy", .7, .71, kNotEstimable, kNotEstimable, -.04, .06});
    const Verdict v = c.verdict();
    EXPECT_EQ(kinds(v), (std::vector<std::string>{"group_fell accuracy sex", "levelled_down accuracy sex",
                                                  "fell accuracy", "gap_shrank eopp1 sex"}));
    EXPECT_EQ(v.findings[0].group, "female");
    EXPECT_THAT(v.summary,
                HasSubstr("By sex 1 gap shrank, 1 figure of groups fell (not corrected), the better group was levelled "
                          "down."));
    EXPECT_THAT(v.summary, HasSubstr("By sex none of 1 gap can be told"));
    EXPECT_THAT(finding(v, FindingKind::gap_shrank, "eopp1").text,
                HasSubstr("eopp1 by sex shrank from 0.300 to 0.100"));
    for (const Finding& f : v.findings) EXPECT_THAT(f.text, Not(HasSubstr("fairer")));

    // The worse group gained more than the better one lost.
    c.comparison.attributes[0].groups[1].metrics[0] = difference({"accuracy", .6, .9});
    EXPECT_THROW(finding(c.verdict(), FindingKind::levelled_down, "accuracy"), std::runtime_error);
}

TEST(Verdict, AGapThatGrewIsALossEvenWhereCorrectionHidesIt) {
    Case c({});
    c.gap("sex", {"eodd", .1, .2, .03, .6}, 0, .3).gap("sex", {"pqd", .9, .8, .03, .6}, .7, 1, 1, 1);
    const Verdict v = c.verdict();
    EXPECT_EQ(kinds(v), (std::vector<std::string>{"gap_grew eodd sex", "gap_grew pqd sex"}));
    EXPECT_THAT(v.findings[0].text, HasSubstr("after correction this may be chance"));
    EXPECT_THAT(v.summary, HasSubstr("By sex 2 gaps grew (none after correction)."));
    Case shrank({});
    shrank.gap("sex", {"eodd", .2, .1, .03, .6}, 0, .3);
    EXPECT_TRUE(shrank.verdict().findings.empty());
    EXPECT_THAT(shrank.verdict().summary, HasSubstr("No evidence that a gap shrank or grew"));
}

TEST(Verdict, ARatioIsBeyondItsRangeBelowIt) {
    Case c({});
    c.gap("sex", {"pqd", .8, .8}, .9, .99, .01, 1, kOverAll);
    const Finding& f = finding(c.verdict(), FindingKind::gap, "pqd");
    EXPECT_NEAR(f.size, .1, 1e-12);
}

TEST(Verdict, SaysWhoIsNotJudged) {
    Case c({});
    c.gap("site", {"eodd", .1, .1}, 0, .3);
    AttributeReport& site = c.report.attributes[0];
    site.unknown = 1;
    site.groups_left_out = 2;
    site.samples_left_out = 11;
    const Verdict v = c.verdict();
    ASSERT_EQ(kinds(v), std::vector<std::string>{"not_judged site"});
    EXPECT_EQ(
        v.findings[0].text,
        "by site 388 of 400 samples are judged; in no gap: 1 sample of unknown group, 2 groups below 10 samples with "
        "11 in all");
    EXPECT_NEAR(v.findings[0].size, .03, 1e-12);
}

TEST(Verdict, WhatIsNotEstimableSaysWhy) {
    Case c({{"macro_auc", kNotEstimable, kNotEstimable, kNotEstimable, kNotEstimable}});
    c.report.metrics[0].reason = "no probabilities in the predictions";
    const Verdict v = c.verdict();
    EXPECT_EQ(v.findings[0].text, "macro-AUC: not estimable (no probabilities in the predictions)");
    EXPECT_THAT(v.summary, HasSubstr("Not estimable: macro-AUC."));
}

TEST(Verdict, AModelAtChanceIsSaidToBeAtChance) {
    const Verdict v = Case({{"balanced_accuracy", .5, .13, .001, .01, -.4, -.3}}).verdict();
    EXPECT_THAT(v.summary, HasSubstr("hardly tells the classes apart (balanced accuracy 0.130, chance 0.125)"));
    EXPECT_EQ(Case({{"balanced_accuracy", .5, .16, .001, .01, -.4, -.3}}).verdict().findings.size(), 1u);
}

TEST(Verdict, OfRealFiguresItAgreesWithTheTables) {
    const Predictions p = testing::simulate(testing::two_groups({90, 80, 70}, {80, 90, 60}, .8, .3, 1), 2);
    Predictions constant = p;
    std::fill(constant.pred.begin(), constant.pred.end(), 0);
    const EvaluateOptions options{.resamples = 2000};
    const Evaluation e = evaluation_of(constant, &p, {"sex"}, options);
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1"})
        EXPECT_EQ(finding(e.verdict, FindingKind::fell, key).after, e.report.metric(key).value);
    EXPECT_NO_THROW(finding(e.verdict, FindingKind::levelled_down, "accuracy"));
    EXPECT_NO_THROW(finding(e.verdict, FindingKind::at_chance, "balanced_accuracy"));
    const Evaluation alone = evaluation_of(p, nullptr, {"sex"}, options);
    size_t beyond = 0;
    for (const Gap& g : alone.report.attribute("sex").gaps) beyond += g.beyond_fair();
    EXPECT_EQ(size_t(std::ranges::count(alone.verdict.findings, FindingKind::gap, &Finding::kind)), beyond);
    EXPECT_GT(beyond, 0u);
    EXPECT_THAT(alone.verdict.summary, AllOf(HasSubstr("Accuracy 0."), Not(HasSubstr("Two networks"))));
    const Verdict untested = evaluation_of(constant, &p, {"sex"}, {.resamples = 0}).verdict;
    EXPECT_THAT(untested.summary, AllOf(HasSubstr("Not tested: "), HasSubstr("Gaps by sex were not tested.")));
}

TEST(Verdict, ThePOfNoResampleBeyondIsABound) {
    TestedMeasure m;
    m.p = 1.0 / 2001;
    m.p_holm = 24.0 / 2001;
    EXPECT_EQ(p_words(m, 2000), "p <= 0.0005, Holm <= 0.012");
    m.p = .19;
    m.p_holm = 1;
    EXPECT_EQ(p_words(m, 2000), "p = 0.19, Holm 1");
}

}  // namespace
}  // namespace fp
