// Simulated truth, in the small: a fair model must not be called unfair whatever the case mix, nor one of two equally
// fair models the fairer; a difference must be found; intervals must hold the truth. Seeds are fixed. Bounds are such
// that a right statistic exceeds one in fewer than 1 of 1,000 seeds, and a wrong null always. In the large:
// bench/experiments/simulate.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/verdict.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"
#include "tests/fairness/truth.h"

namespace fp {
namespace {

using testing::Population;
using testing::Sample;

constexpr int kDraws = 40, kResamples = 100;
constexpr double kMostAlarms = .225;  // 9 of 40 draws at 5 %: 1 in 5,000 seeds

EvaluateOptions options_of(int draw) { return {.resamples = kResamples, .seed = uint64_t(draw), .threads = 1}; }
bool covers(double low, double truth, double high) { return low <= truth + 1e-12 && truth <= high + 1e-12; }

// A classifier that depends on the diagnosis alone, in groups of very different case mix: no gap is called unfair.
TEST(Coverage, AFairModelIsCalledFairInAnyCaseMix) {
    const Population sites = testing::by_site({testing::fair(testing::kIsicRates, 5)}),
                     ages = testing::two_of(testing::kAgeMix, {testing::fair(testing::kIsicRates, 2)});
    for (const Population& population : {ages, sites}) {
        std::map<std::string, double> alarms;
        for (int draw = 0; draw < kDraws; ++draw) {
            const Sample sample = draw_lesions(population, 700, uint64_t(draw), true);
            const Report report = evaluate(testing::predictions_of(sample), {"group"}, options_of(draw));
            const AttributeReport& groups = report.attributes[0];
            alarms["primary"] += double(groups.primary.p <= .05) / kDraws;
            for (const Gap& gap : groups.gaps) {
                alarms[gap.key] += double(gap.p <= .05) / kDraws;
                alarms[gap.key + " beyond fair"] += double(gap.beyond_fair()) / kDraws;
            }
            for (const Finding& f : verdict_of(report, nullptr).findings)
                if (f.kind == FindingKind::gap) alarms["verdict"] += 1.0 / kDraws;
        }
        for (const auto& [what, share] : alarms) EXPECT_LE(share, kMostAlarms) << what;
    }
}

struct Claims {
    double fairer = 0, less_fair = 0;  // shares of draws
};
Claims claims_of(const Population& population, int lesions) {
    Claims claims;
    for (int draw = 0; draw < kDraws; ++draw) {
        const Sample sample = draw_lesions(population, lesions, 1000 + uint64_t(draw));
        const Comparison c = compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1), {"group"},
                                     options_of(draw));
        const PrimaryDifference& d = c.attributes[0].primary;
        if (d.p <= .05) (d.value < 0 ? claims.fairer : claims.less_fair) += 1.0 / kDraws;
    }
    return claims;
}

// Equal fairness at unequal accuracy, drift to the majority, equal gaps in different classes, different case mix.
TEST(Coverage, NeitherOfTwoFairModelsIsTheFairer) {
    for (const testing::Scenario& s : testing::equally_fair()) {
        const Claims claims = claims_of(s.population, 800);
        EXPECT_LE(claims.fairer + claims.less_fair, kMostAlarms) << s.name;
    }
    // So unequal that a gap with the part that noise adds would speak.
    const Claims claims =
        claims_of(testing::two_of(testing::kSexMix, {testing::fair(.97, 2), testing::fair(.5, 2)}), 800);
    EXPECT_LE(claims.fairer + claims.less_fair, kMostAlarms);
}

TEST(Coverage, TheFairerOfTwoModelsIsFound) {
    for (const auto& [gap, other] : {std::pair{.1, .25}, {.05, .2}}) {
        const Claims claims = claims_of(
            testing::two_of(testing::kSexMix, {testing::with_gap(.79, gap, 2), testing::with_gap(.79, other, 2)}),
            1500);
        EXPECT_GE(claims.fairer, .7) << other;
        EXPECT_EQ(claims.less_fair, 0) << other;
    }
}

// The primary gap's interval, for two groups and for more, and that of its difference.
TEST(Coverage, TheIntervalOfThePrimaryGapHoldsIt) {
    for (const int groups : {2, 4}) {
        const Population population{.group_share = testing::even(groups),
                                    .mix = testing::GroupRates(size_t(groups), testing::kSexMix[0]),
                                    .models = {testing::with_gap(.79, .1, groups), testing::with_gap(.79, .2, groups)}};
        const Sample large = draw_lesions(population, 20000, 7);
        const auto first = testing::rates_of_groups(large, 0), second = testing::rates_of_groups(large, 1);
        double own = 0, change = 0, off = 0;
        for (int draw = 0; draw < kDraws; ++draw) {
            const Sample sample = draw_lesions(population, 1000, 2000 + uint64_t(draw));
            const Comparison c = compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1),
                                         {"group"}, options_of(draw));
            const PrimaryGap gap =
                evaluate(testing::predictions_of(sample, 1), {"group"}, options_of(draw)).attributes[0].primary;
            const PrimaryDifference& d = c.attributes[0].primary;
            const double truth = testing::primary_square_of(second, sample);
            own += double(covers(gap.low, std::sqrt(truth), gap.high)) / kDraws;
            change += double(covers(d.low, testing::primary_square_of(first, sample) - truth, d.high)) / kDraws;
            off += (gap.rms_squared / truth - 1) / kDraws;
        }
        EXPECT_GE(own, .8) << groups;
        EXPECT_GE(change, .8) << groups;
        EXPECT_NEAR(off, 0, .25) << groups;
    }
}

// One primary gap per attribute: of six attributes none is found where all are fair, and the one that has a gap is.
TEST(Coverage, ManyAttributesNeitherInventNorHideAGap) {
    for (const double gap : {0.0, .25}) {
        Population population = testing::two_of(testing::kSexMix, {testing::with_gap(.79, gap, 2)});
        population.others = {2, 3, 2, 3, 2};
        double found = 0;
        for (int draw = 0; draw < kDraws; ++draw) {
            const Predictions p = testing::predictions_of(draw_lesions(population, 800, 3000 + uint64_t(draw)));
            EvaluateOptions options = options_of(draw);
            options.resamples = 150;  // 6 / 151 < .05
            const Report report = evaluate(p, p.columns, options);
            bool claimed = false;
            for (const AttributeReport& a : report.attributes) claimed |= a.primary.p_holm <= .05;
            found += double(claimed) / kDraws;
        }
        if (gap == 0)
            EXPECT_LE(found, kMostAlarms);
        else
            EXPECT_GE(found, .8);
    }
}

// A loss of exactly the margin is declared "not worse" in at most 2.5 %; no loss mostly is; a large one is a loss.
TEST(Coverage, ALossAtTheMarginIsNotCalledNone) {
    const auto shares = [](double loss) {
        std::map<Harm, double> out;
        const Population population =
            testing::two_of(testing::kSexMix, {testing::fair(.85 - loss, 2), testing::fair(.85, 2)});
        for (int draw = 0; draw < kDraws; ++draw) {
            const Sample sample = draw_lesions(population, 2500, 4000 + uint64_t(draw));
            const Comparison c =
                compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1), {}, options_of(draw));
            out[std::ranges::find(c.metrics, "accuracy", &Difference::key)->harm] += 1.0 / kDraws;
        }
        return out;
    };
    auto at_margin = shares(EvaluateOptions{}.margin), none = shares(0), large = shares(.06);
    EXPECT_LE(at_margin[Harm::within_margin] + at_margin[Harm::better], .16);  // 6 of 40 draws at 2.5 %: 1 in 2,000
    EXPECT_GE(none[Harm::within_margin] + none[Harm::better], .6);
    EXPECT_GE(large[Harm::worse], .95);
}

// Percentile intervals of figures that noise does not push to one side.
TEST(Coverage, AccuracyAndSignedGaps) {
    const Population population = testing::two_of(testing::kSexMix, {testing::with_gap(.79, .1, 2)});
    const Sample large = draw_lesions(population, 40000, 7);
    const double overall = testing::rates_of({large}).accuracy, first = testing::rates_of({large, 0, 0}).accuracy,
                 second = testing::rates_of({large, 0, 1}).accuracy;
    double all = 0, group = 0, difference = 0;
    constexpr int kMore = 3 * kDraws;
    for (int draw = 0; draw < kMore; ++draw) {
        const Predictions p = testing::predictions_of(draw_lesions(population, 500, 5000 + uint64_t(draw)));
        const Report report = evaluate(p, {"group"}, options_of(draw));
        const Measure& accuracy = report.metric("accuracy");
        all += double(covers(accuracy.low, overall, accuracy.high)) / kMore;
        const AttributeReport& groups = report.attributes[0];
        const Measure& of_group = groups.group("a").metric("accuracy");
        group += double(covers(of_group.low, first, of_group.high)) / kMore;
        const Gap& gap = groups.gap("accuracy");
        difference += double(covers(gap.signed_gap.low, first - second, gap.signed_gap.high)) / kMore;
    }
    EXPECT_GE(all, .87);
    EXPECT_GE(group, .87);
    EXPECT_GE(difference, .87);
}

}  // namespace
}  // namespace fp
