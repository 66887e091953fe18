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
    Case c({{"accuracy", .532, .449, -.12, -.045, kLeast},
            {"balanced_accuracy", .37, .35, -.06, .02, .3},
            {"macro_f1", .358, .276, -.13, -.03, kLeast},
            {"macro_auc", .8, .81, -.01, .03, .2}});
    c.primary("age:60", {.09, .16, .04, kLeast, .3})
        .gap("age:60", "dp", .58, .04, .14)
        .gap("age:60", "accuracy", .161, 0, .051)
        .gap("age:60", "eodd", .02, 0, .051);
    return c;
}

TEST(Verdict, EveryLossTheOneGapAndWhatIsNotExcludedAreNamed) {
    const Verdict v = pruned_to_half().verdict();
    EXPECT_EQ(kinds(v),
              (std::vector<std::string>{"gap eodd_rms age:60", "fell accuracy", "fell macro_f1", "not_worse macro_auc",
                                        "gaps_described age:60", "gap_unchanged eodd_rms age:60",
                                        "loss_not_excluded balanced_accuracy"}));
    EXPECT_EQ(v.summary,
              "Fell: accuracy 0.532 to 0.449, macro-F1 0.358 to 0.276. Not worse by more than 0.02: macro-AUC. A loss "
              "is not excluded: balanced accuracy (0.060). The gap by age:60 (eodd_rms), 0.160, is beyond what a "
              "classifier that treats the groups alike would show, up to 0.040 (p <= 0.0005, Holm <= 0.0005). By "
              "age:60: no difference of the gap was detected (p = 0.3, Holm 0.3); beside the other's 0.090, a gap of "
              "0.147 to 0.172 is not excluded. Compared with the other network: two networks of one training each, "
              "not two methods.");
    EXPECT_EQ(finding(v, FindingKind::fell, "accuracy").text,
              "accuracy fell from 0.532 to 0.449 (-0.083 [-0.120, -0.045], p <= 0.0005)");
    EXPECT_EQ(finding(v, FindingKind::loss_not_excluded, "balanced_accuracy").text,
              "balanced accuracy: 0.370 to 0.350 (-0.020 [-0.060, +0.020], p = 0.3); a loss of 0.060 is not excluded");
    EXPECT_EQ(finding(v, FindingKind::not_worse, "macro_auc").text,
              "macro-AUC: 0.800 to 0.810 (+0.010 [-0.010, +0.030], p = 0.2); not worse by more than 0.02");
    EXPECT_EQ(finding(v, FindingKind::gaps_described, "").text,
              "by age:60 also beyond their fair ranges, not corrected and no finding of their own: dp 0.580 (0.040 to "
              "0.140, p = 0.012), accuracy 0.161 (0.000 to 0.051, p = 0.012); of dp and dpm that says that selection "
              "differs, not that it is unfair");
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
    EXPECT_EQ(found[0]["fair_high"], .04);
    EXPECT_FALSE(found[1].contains("attribute"));
    EXPECT_FALSE(found[1].contains("p_holm"));
    EXPECT_EQ(found[1]["before"], .532);
    const auto& attribute = json["attributes"]["age:60"];
    EXPECT_EQ(attribute["primary"]["key"], "eodd_rms");
    EXPECT_EQ(attribute["primary"]["p_holm"], kLeast);
    EXPECT_FALSE(attribute["gaps"]["dp"].contains("p_holm"));
    const auto& change = json["comparison"]["attributes"]["age:60"]["primary"];
    EXPECT_EQ(change["value"], .16 * .16 - .09 * .09);
    EXPECT_EQ(change["sd"], .002);
    EXPECT_EQ(json["comparison"]["margin"], .02);
}

TEST(Verdict, AGapThatShrankIsSmallerAfterCorrectionAlone) {
    Case c({});
    c.primary("sex", {.3, .1, .15, .4, .03, 2});
    const Verdict open = c.verdict();
    EXPECT_EQ(kinds(open), std::vector<std::string>{"gap_unchanged eodd_rms sex"});
    EXPECT_THAT(open.findings[0].text,
                HasSubstr("the gap by sex (eodd_rms), 0.100 against 0.300: this network's gap is smaller than the "
                          "other's, but not after correction for the attributes (p = 0.03, Holm 0.06)"));
    EXPECT_THAT(open.summary, HasSubstr("a gap up to 0.120 is not excluded"));
    Case found({});
    found.primary("sex", {.3, .1, .15, .4, .001, 2});
    EXPECT_EQ(kinds(found.verdict()), std::vector<std::string>{"gap_shrank eodd_rms sex"});
    EXPECT_THAT(found.verdict().summary,
                HasSubstr("By sex: this network's gap is smaller than the other's (p = 0.001, Holm 0.002)."));
}

TEST(Verdict, AGapThatShrankBeforeCorrectionBecauseTheBestGroupLostIsLevelledDown) {
    Case c({{"accuracy", .8, .7, -.15, -.05}});
    c.primary("sex", {.3, .1, .15, .4, .03, 2})
        .group("sex", "female", {"accuracy", .9, .7, -.25, -.15})
        .group("sex", "male", {"accuracy", .7, .71, -.04, .06});
    const Verdict v = c.verdict();
    EXPECT_EQ(kinds(v),
              (std::vector<std::string>{"group_fell accuracy sex", "levelled_down accuracy sex", "fell accuracy",
                                        "gap_unchanged eodd_rms sex", "group_loss_not_excluded sex"}));
    EXPECT_EQ(v.findings[0].group, "female");
    EXPECT_EQ(
        v.findings[1].text,
        "levelled down by sex: accuracy of female, which was best, fell from 0.900 to 0.700; male rose from 0.700 "
        "to 0.710");
    EXPECT_EQ(v.findings[4].text, "by sex a loss is not excluded: up to accuracy of male 0.040");
    EXPECT_THAT(v.summary, HasSubstr("; 1 figure of groups fell; the best group was levelled down."));
    for (const Finding& f : v.findings) EXPECT_THAT(f.text, Not(HasSubstr("fairer")));

    // The gap did not shrink.
    c.comparison.attributes[0].primary.p = .3;
    EXPECT_THROW(finding(c.verdict(), FindingKind::levelled_down, "accuracy"), std::runtime_error);
}

TEST(Verdict, AGapThatGrewIsALossEvenWhereCorrectionHidesIt) {
    Case c({});
    c.primary("sex", {.1, .2, .3, .5, .03, 2});
    const Verdict v = c.verdict();
    EXPECT_EQ(kinds(v), std::vector<std::string>{"gap_grew eodd_rms sex"});
    EXPECT_THAT(v.findings[0].text, HasSubstr("larger than the other's, but not after correction"));
}

TEST(Verdict, AGapBeforeCorrectionAloneIsNoFindingOfAGap) {
    Case c({});
    c.primary("sex", {.1, .2, .15, .02, .9, 3});
    const Verdict v = c.verdict();
    EXPECT_EQ(kinds(v), (std::vector<std::string>{"gap_unchanged eodd_rms sex", "gap_uncorrected eodd_rms sex"}));
    EXPECT_THAT(v.summary, HasSubstr("0.200, is beyond its fair range, up to 0.150, but not after correction for the "
                                     "attributes (p = 0.02, Holm 0.06)"));
}

TEST(Verdict, ARatioIsBeyondItsRangeBelowIt) {
    Case c({});
    c.gap("sex", "pqd", .8, .9, .99, 1).gap("sex", "eom", .995, .9, .99, 1);
    EXPECT_THAT(finding(c.verdict(), FindingKind::gaps_described, "").text,
                AllOf(HasSubstr("pqd 0.800"), Not(HasSubstr("eom")), Not(HasSubstr("selection"))));
}

TEST(Verdict, SaysWhoIsNotJudged) {
    Case c({});
    c.gap("site", "eodd", .1, 0, .3);
    AttributeReport& site = c.report.attributes[0];
    site.unknown = 1;
    site.groups_left_out = 2;
    site.samples_left_out = 11;
    const Verdict v = c.verdict();
    ASSERT_EQ(kinds(v), (std::vector<std::string>{"not_judged site", "not_judged eodd_rms site"}));
    EXPECT_EQ(
        v.findings[0].text,
        "by site 388 of 400 samples are judged; in no gap: 1 sample of unknown group, 2 groups below 10 units, with "
        "11 samples in all");
    EXPECT_NEAR(v.findings[0].size, .03, 1e-12);
}

TEST(Verdict, WhatIsNotEstimableSaysWhy) {
    Case c({{"macro_auc", kNotEstimable, kNotEstimable}});
    c.report.metrics[0].reason = "no probabilities in the predictions";
    const Verdict v = c.verdict();
    EXPECT_EQ(v.findings[0].text, "macro-AUC: not estimable (no probabilities in the predictions)");
    EXPECT_THAT(v.summary, HasSubstr("Not estimable: macro-AUC."));
}

TEST(Verdict, AModelAtChanceIsSaidToBeAtChance) {
    const Verdict v = Case({{"balanced_accuracy", .5, .13, -.4, -.3}}).verdict();
    EXPECT_THAT(v.summary, HasSubstr("hardly tells the classes apart (balanced accuracy 0.130, chance 0.125)"));
    EXPECT_EQ(Case({{"balanced_accuracy", .5, .16, -.4, -.3}}).verdict().findings.size(), 1u);
}

TEST(Verdict, OfRealFiguresItAgreesWithTheTables) {
    const Predictions p = testing::simulate(testing::two_groups({90, 80, 70}, {80, 90, 60}, .8, .3, 1), 2);
    Predictions constant = p;
    std::fill(constant.pred.begin(), constant.pred.end(), 0);
    const EvaluateOptions options{.resamples = 1000};
    const Evaluation e = evaluation_of(constant, &p, {"sex"}, options);
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1"})
        EXPECT_EQ(finding(e.verdict, FindingKind::fell, key).after, e.report.metric(key).value);
    EXPECT_EQ(finding(e.verdict, FindingKind::gap_shrank, kPrimaryKey).before,
              std::sqrt(e.comparison->attributes[0].primary.other));
    EXPECT_NO_THROW(finding(e.verdict, FindingKind::levelled_down, "accuracy"));
    EXPECT_NO_THROW(finding(e.verdict, FindingKind::at_chance, "balanced_accuracy"));
    const Evaluation alone = evaluation_of(p, nullptr, {"sex"}, options);
    const AttributeReport& sex = alone.report.attribute("sex");
    EXPECT_EQ(finding(alone.verdict, FindingKind::gap, kPrimaryKey).after, sex.primary.rms);
    const double beyond = double(std::ranges::count_if(sex.gaps, &Gap::beyond_fair));
    EXPECT_EQ(finding(alone.verdict, FindingKind::gaps_described, "").size, beyond);
    EXPECT_THAT(to_text(alone.report), HasSubstr(sex.primary.verdict.substr(0, 50)));
    EXPECT_THAT(alone.verdict.summary, AllOf(HasSubstr("Accuracy 0."), Not(HasSubstr("two networks"))));
    const Verdict untested = evaluation_of(constant, &p, {"sex"}, {.resamples = 0}).verdict;
    EXPECT_THAT(untested.summary, AllOf(HasSubstr("Not tested: "), HasSubstr("The gap by sex was not tested")));
}

TEST(Verdict, ThePOfNoResampleBeyondIsABound) {
    EXPECT_EQ(p_words(1.0 / 2001, 24.0 / 2001, 2000), "p <= 0.0005, Holm <= 0.012");
    EXPECT_EQ(p_words(.19, 1, 2000), "p = 0.19, Holm 1");
    EXPECT_EQ(p_words(1.0 / 2001, kNotEstimable, 0), "p = 0.0005");
    EXPECT_EQ(p_words(kNotEstimable, kNotEstimable, 2000), "");
}

}  // namespace
}  // namespace fp
