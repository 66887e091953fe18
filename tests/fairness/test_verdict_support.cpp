// What supports a verdict: correction, resamples, which classes are there, images that were not seen in training.
#include <gmock/gmock.h>

#include "engine/report/evaluation.h"
#include "tests/fairness/verdict_case.h"

namespace fp {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace testing::verdicts;

TEST(VerdictSupport, TheSummarySaysHowManyGapsHoldAfterCorrectionAndComparesThoseOfOneScale) {
    Case c({});
    c.gap("sex", {"nar", .9, .9}, 0, .1, .01, 0, kOverAll)
        .gap("sex", {"eodd_max", .3, .3}, 0, .1, .02)
        .gap("sex", {"eopp1", .5, .5}, 0, .1, .4);
    EXPECT_THAT(
        c.verdict().summary,
        HasSubstr("By sex 3 of 3 gaps (2 after correction) lie beyond the fair range; furthest in rates: equalized "
                  "odds, worst class (eodd_max), 0.300 (range 0.000 to 0.100)."));
    Case other({});
    other.gap("sex", {"pqd", .8, .8}, .9, .99, .4, 1, kOverAll);
    EXPECT_THAT(
        other.verdict().summary,
        HasSubstr("By sex 1 of 1 gap (none after correction) lies beyond the fair range: accuracy, worst over best "
                  "(pqd), 0.800 (range 0.900 to 0.990)."));
}

TEST(VerdictSupport, AGroupMayFallInEveryHeadlineMetric) {
    Case c({});
    c.gap("sex", {"eopp1", .1, .1}, 0, .15)
        .group("sex", "female", {"balanced_accuracy", .9, .7, kNotEstimable, kNotEstimable, -.25, -.15})
        .group("sex", "male", {"macro_f1", .9, .8, kNotEstimable, kNotEstimable, -.15, -.05});
    EXPECT_EQ(kinds(c.verdict()),
              (std::vector<std::string>{"group_fell balanced_accuracy sex", "group_fell macro_f1 sex"}));
}

TEST(VerdictSupport, SaysWhyAnIntervalAndItsPDisagree) {
    const Verdict v = Case({{"macro_auc", .7, .795, .093, 1, .038, .159}}).verdict();
    EXPECT_THAT(v.findings.at(0).text,
                HasSubstr("p = 0.093, Holm 1); the interval, by resampling units, excludes 0, and p, by swapping the "
                          "models' predictions, does not exclude chance"));
    const Verdict agreed = Case({{"macro_auc", .7, .72, .3, 1, -.02, .06}}).verdict();
    EXPECT_THAT(agreed.findings.at(0).text, Not(HasSubstr("swapping")));
}

TEST(VerdictSupport, SaysWhereTooFewResamplesCanShowAnything) {
    Case c({});
    for (int i = 0; i < 17; ++i) c.gap("sex", {"eodd", .1, .1}, 0, .3);
    for (const int resamples : {100, 338, 339}) {
        c.report.options.resamples = c.comparison.options.resamples = resamples;
        const Verdict v = c.verdict();
        if (resamples == 339) {  // 17 / 340 = .05
            EXPECT_TRUE(v.findings.empty());
            continue;
        }
        ASSERT_EQ(kinds(v), std::vector<std::string>{"few_resamples"});
        EXPECT_THAT(v.summary, StartsWith(text(resamples, " resamples can show nothing after correction")));
        EXPECT_THAT(v.summary, HasSubstr("--resamples 339 or more"));
    }
}

TEST(VerdictSupport, ChanceIsThatOfTheClassesThatAreThere) {
    Case c({{"balanced_accuracy", .2, .2}});
    for (int i = 0; i < 3; ++i) c.report.class_figures[i].positives = 0;
    const Verdict v = c.verdict();
    EXPECT_THAT(v.summary,
                AllOf(HasSubstr("No image judged is of 3 of 8 classes (a, b, c)."), HasSubstr("chance 0.200")));
    for (int i = 0; i < 7; ++i) c.report.class_figures[i].positives = 0;
    c.comparison.metrics[0].model = c.report.metrics[0].value = 1;
    const Verdict one = c.verdict();
    EXPECT_THAT(one.summary, AllOf(HasSubstr("(a, b, c, d, e and 2 more)"), Not(HasSubstr("hardly"))));
}

TEST(VerdictSupport, BeginsWithTheImagesSeenInTraining) {
    const Case c({{"accuracy", .5, .9}});
    Evaluation e{.report = c.report, .verdict = c.verdict()};
    const Judged judged{.split = "all", .images = 400, .of = 400, .seen = 300},
        none{.split = "test", .images = 400, .seen = 0};
    set_judged(e, none, &none);
    EXPECT_EQ(e.verdict.summary, c.verdict().summary);
    set_judged(e, none, &judged);
    EXPECT_THAT(e.verdict.summary, StartsWith("300 of 400 images judged (split test) were seen by the other"));
    e.verdict = c.verdict();
    set_judged(e, judged, nullptr);
    const char* words = "300 of 400 images judged (all) were seen in training, so the figures are too good";
    EXPECT_THAT(e.verdict.summary, StartsWith(words));
    EXPECT_EQ(kinds(e.verdict).front(), "seen_in_training");
    EXPECT_EQ(e.verdict.findings[0].size, .75);
    EXPECT_THAT(to_text(e),
                AllOf(StartsWith("300 of 400 images judged (all)"), HasSubstr("judged: 400 of 400 images (all)")));
}

TEST(VerdictSupport, SaysWhereItIsNotKnownWhatAModelHasSeen) {
    const Case c({{"accuracy", .5, .9}});
    const Judged known{.split = "test", .images = 400, .seen = 0, .of_model = true},
        unknown{.split = "test", .images = 400, .of_model = true}, of_a_file{.split = "test", .images = 400};
    const auto summary = [&](const Judged& ours, const Judged* other) {
        Evaluation e{.report = c.report, .verdict = c.verdict()};
        set_judged(e, ours, other);
        return e.verdict.summary;
    };
    EXPECT_EQ(summary(known, &known), c.verdict().summary);
    EXPECT_EQ(summary(of_a_file, &of_a_file), c.verdict().summary);
    EXPECT_THAT(summary(unknown, nullptr), StartsWith("Which images this model was trained on is not known. "));
    EXPECT_THAT(summary(known, &unknown), StartsWith("Which images the other model was trained on is not known. "));
}

}  // namespace
}  // namespace fp
