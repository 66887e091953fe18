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

TEST(VerdictSupport, AGroupMayFallInEveryHeadlineMetric) {
    Case c({});
    c.primary("sex", {.1, .1, .15})
        .group("sex", "female", {"balanced_accuracy", .9, .7, -.25, -.15})
        .group("sex", "male", {"macro_f1", .9, .8, -.15, -.05});
    EXPECT_EQ(kinds(c.verdict()), (std::vector<std::string>{"group_fell balanced_accuracy sex",
                                                            "group_fell macro_f1 sex", "gap_unchanged eodd_rms sex"}));
}

TEST(VerdictSupport, SaysWhereTooFewResamplesCanShowAnything) {
    Case c({});
    c.primary("sex", {.1, .1, .3}).primary("age:60", {.1, .1, .3}).primary("site", {.1, .1, .3});
    for (const int resamples : {20, 58, 59}) {
        c.report.options.resamples = c.comparison.options.resamples = resamples;
        const Verdict v = c.verdict();
        const bool enough = resamples == 59;  // 3 / 60 = .05
        EXPECT_EQ(std::ranges::count(v.findings, FindingKind::few_resamples, &Finding::kind), enough ? 0 : 1);
        if (enough) continue;
        EXPECT_THAT(v.summary, StartsWith(text(resamples, " resamples can show no gap after correction over 3 attr")));
        EXPECT_THAT(v.summary, HasSubstr("--resamples 59 or more"));
    }
}

TEST(VerdictSupport, ChanceIsThatOfTheClassesThatAreThere) {
    Case c({{"balanced_accuracy", .2, .2, -.01, .01}});
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
    const Case c({{"accuracy", .5, .9, .3, .5}});
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
    Judged pruned = known;  // from a model of unknown training: what the pruning has seen is known
    pruned.earlier_unknown = true;
    EXPECT_THAT(summary(pruned, nullptr),
                StartsWith("Which images this model was trained on before it was pruned is not"));
    EXPECT_THAT(summary(known, &pruned),
                StartsWith("Which images the other model was trained on before it was pruned "));
}

}  // namespace
}  // namespace fp
