#include "engine/fairness/trainings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <numbers>

#include "engine/fairness/student.h"
#include "engine/report/trainings_report.h"
#include "tests/expect_error.h"
#include "tests/fairness/simulate.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::simulate;
using testing::Stream;

TEST(Student, QuantilesAndShares) {
    EXPECT_NEAR(t_quantile(.975, 1), 12.7062, 1e-3);
    EXPECT_NEAR(t_quantile(.975, 4), 2.776445, 1e-4);
    EXPECT_NEAR(t_quantile(.995, 9), 3.249836, 1e-4);
    EXPECT_NEAR(t_quantile(.025, 1e6), -1.959964, 1e-4);
    EXPECT_NEAR(t_quantile(.975, 5000), 1.960439, 1e-4);
    EXPECT_NEAR(two_sided_p(t_quantile(.975, 2.5), 2.5), .05, 1e-9);
    EXPECT_NEAR(two_sided_p(2.776445, 4), .05, 1e-6);
    EXPECT_NEAR(normal_quantile(.975), 1.959964, 1e-6);
}

// G*Power: two-sided paired t test at .05, power .8, ten pairs detect 0.996 sd; three pairs 3.26 sd.
TEST(Student, DetectableRatio) {
    EXPECT_NEAR(detectable_ratio(.05, .8, 9) / std::sqrt(10), .996, .003);
    EXPECT_NEAR(detectable_ratio(.05, .8, 2) / std::sqrt(3), 3.26, .03);
    EXPECT_NEAR(detectable_ratio(.05, .8, 1e6), 1.959964 + .841621, 1e-3);
}

double normal(Stream& stream) {
    return std::sqrt(-2 * std::log(1 - stream.next())) * std::cos(2 * std::numbers::pi * stream.next());
}

// Units x trainings: a figure of training j is the mean over units i of t_j + u_i + (units x trainings)_ij.
struct Crossed {
    double trainings, units, both;  // sd
};
std::vector<Resampled> crossed_figures(const Crossed& sd, int k, int units, int resamples, Stream& stream) {
    std::vector<double> of_unit(units), weight(units);
    for (double& u : of_unit) u = sd.units * normal(stream);
    std::vector<std::vector<double>> x(k, std::vector<double>(units));
    std::vector<Resampled> out(k, Resampled{.value = 0});
    for (int j = 0; j < k; ++j) {
        const double own = sd.trainings * normal(stream);
        for (int i = 0; i < units; ++i) {
            x[j][i] = own + of_unit[i] + sd.both * normal(stream);
            out[j].value += x[j][i] / units;
        }
    }
    for (int r = 0; r < resamples; ++r) {
        std::vector<int> times(units);
        for (int i = 0; i < units; ++i) ++times[stream.below(units)];
        for (int j = 0; j < k; ++j) {
            double sum = 0;
            for (int i = 0; i < units; ++i) sum += times[i] * x[j][i];
            out[j].resampled.push_back(sum / units);
        }
    }
    return out;
}

// The interval covers a true 0 whichever source of noise leads. FP_COVERAGE_DRAWS=400 prints the table of
// docs/method.md.
TEST(Trainings, TheCrossedIntervalCovers) {
    const char* given = std::getenv("FP_COVERAGE_DRAWS");
    const int draws = given ? std::atoi(given) : 100;
    if (given)
        fmt::print("{:>10}{:>7}{:>6}{:>4}{:>10}{:>16}\n", "trainings", "units", "both", "k", "crossed",
                   "trainings alone");
    for (const Crossed& sd : {Crossed{.1, .1, .5}, Crossed{.01, 1, .3}, Crossed{.1, 1, .5}, Crossed{.01, .1, 1}})
        for (const int k : {3, 5, 10}) {
            int covered = 0, alone = 0;
            Stream stream(uint64_t(1000 * sd.trainings + 10 * sd.units + k));
            for (int d = 0; d < draws; ++d) {
                const auto figures = crossed_figures(sd, k, 100, 100, stream);
                const CrossedEstimate e = crossed_estimate(figures, 100, .95);
                covered += e.low <= 0 && 0 <= e.high;
                const SeedSummary s = summarize_seeds(e.values);
                alone += s.low <= 0 && 0 <= s.high;
            }
            const double n = draws;
            if (given)
                fmt::print("{:10.2f}{:7.2f}{:6.2f}{:4}{:10.3f}{:16.3f}\n", sd.trainings, sd.units, sd.both, k,
                           covered / n, alone / n);
            EXPECT_GE(covered / n, .86) << sd.trainings << " " << sd.units << " k " << k;
            if (sd.units == 1 && k >= 5) {
                EXPECT_LT(alone / n, .9) << "trainings alone say nothing of other units";
            }
        }
}

TEST(Trainings, ByHand) {
    // Three trainings that differ by the training alone: no resample moves them.
    const std::vector<Resampled> still{{1, {1, 1}}, {2, {2, 2}}, {3, {3, 3}}};
    const CrossedEstimate e = crossed_estimate(still, 50, .95);
    EXPECT_EQ(e.mean, 2);
    EXPECT_EQ(e.sd_trainings, 1);
    EXPECT_EQ(e.error_units, 0);
    EXPECT_NEAR(e.freedom, 2, 1e-9);
    const SeedSummary student = summarize_seeds({1, 2, 3});
    EXPECT_NEAR(e.low, student.low, 1e-9);
    EXPECT_NEAR(e.p, student.p, 1e-9);
    // Trainings that agree, on units that vary: the bootstrap's error, with nearly as many degrees of freedom as units.
    const CrossedEstimate units = crossed_estimate({{2, {1, 3}}, {2, {1, 3}}}, 1000, .95);
    EXPECT_NEAR(units.error, std::sqrt(2), 1e-12);
    EXPECT_NEAR(units.freedom, 999, 1e-6);
}

TEST(Trainings, WhatHasNoInterval) {
    EXPECT_EQ(crossed_estimate({{1, {1, 2}}}, 9, .95).reason, "one training does not show how trainings vary");
    EXPECT_EQ(crossed_estimate({{1, {}}, {2, {}}}, 9, .95).reason, "no resamples were asked for");
    const double nan = std::nan("");
    EXPECT_EQ(crossed_estimate({{1, {1, nan}}, {2, {2, 2}}}, 9, .95).reason, "not estimable in 50 % of resamples");
    EXPECT_EQ(crossed_estimate({{nan, {}}, {2, {}}}, 9, .95).reason, "not estimable in every training");
    EXPECT_EQ(crossed_estimate({{1, {1, 1}}, {1, {1, 1}}}, 9, .95).reason, "all trainings and resamples agree");
}

// A training on 2 groups x 2 classes of `lesions`, each of its own difficulty, which all trainings share: recognised
// with probability Phi(.84 +- shift + what this training makes of the group and class).
constexpr double kTrainingSd = .2;
double recognised(double shift, int group, double own) { return .84 + (group == 0 ? shift : -shift) + own; }
Predictions training(int lesions, double shift, uint64_t units, uint64_t seed) {
    Predictions p = simulate({{{lesions, lesions}, {1, 1}}, {{lesions, lesions}, {1, 1}}}, 1);
    Stream difficulty(units), noise(seed);
    double own[4];
    for (double& o : own) o = kTrainingSd * normal(noise);
    for (size_t i = 0; i < p.label.size(); ++i) {
        const int group = p.attributes[0][i] == "a" ? 0 : 1;
        const double latent = std::sqrt(.5) * (normal(difficulty) + normal(noise));
        if (latent > recognised(shift, group, own[2 * group + p.label[i]])) p.pred[i] = 1 - p.label[i];
    }
    return p;
}
// The mean over trainings of the squared TPR gap, which is that of FPR here.
double true_rms_squared(double shift) {
    constexpr int kTrainings = 200'000;
    Stream stream(9);
    double sum = 0;
    for (int i = 0; i < kTrainings; ++i) {
        const double a = kTrainingSd * normal(stream), b = kTrainingSd * normal(stream);
        const double gap = normal_share(recognised(shift, 0, a)) - normal_share(recognised(shift, 1, b));
        sum += gap * gap / kTrainings;
    }
    return sum;
}

TEST(Trainings, TheDifferenceOfPrimaryGapsIsCovered) {
    const char* given = std::getenv("FP_COVERAGE_DRAWS");
    const int draws = given ? std::atoi(given) : 40;
    if (given) fmt::print("{:>16}{:>4}{:>9}{:>11}{:>12}\n", "shift", "k", "covered", "p <= .05", "detectable");
    for (const auto& [ours, theirs] : {std::pair(0.0, 0.0), std::pair(.3, .3), std::pair(0.0, .4)})
        for (const int k : {3, 5, 10}) {
            const double truth = true_rms_squared(ours) - true_rms_squared(theirs);
            int covered = 0, found = 0;
            double detectable = 0;
            for (int d = 0; d < draws; ++d) {
                std::vector<Predictions> a, b;
                for (int j = 0; j < k; ++j) {
                    a.push_back(training(60, ours, uint64_t(d), uint64_t(1000 * d + j)));
                    b.push_back(training(60, theirs, uint64_t(d), uint64_t(1000 * d + 500 + j)));
                }
                const EvaluateOptions options{.resamples = 100, .seed = uint64_t(d), .threads = 1};
                const TrainingsReport r = compare_trainings(a, b, {"sex"}, options);
                const CrossedEstimate& e = *r.attributes[0].figures[0].difference;
                covered += e.low <= truth && truth <= e.high;
                found += e.p <= .05;
                detectable += e.detectable / draws;
            }
            const double n = draws;
            if (given)
                fmt::print("{:8.2f}{:8.2f}{:4}{:9.3f}{:11.3f}{:12.4f}\n", ours, theirs, k, covered / n, found / n,
                           detectable);
            EXPECT_GE(covered / n, .88) << ours << " " << theirs << " " << k;
            if (truth == 0) {
                EXPECT_LE(found / n, .15);
            }
        }
}

const TrainingsFigure& figure(const std::vector<TrainingsFigure>& figures, const std::string& key) {
    for (const TrainingsFigure& f : figures)
        if (f.key == key) return f;
    throw std::runtime_error("no figure " + key);
}

TEST(Trainings, PairsOfTrainingsOfTwoMethods) {
    std::vector<Predictions> good, bad;
    for (uint64_t j = 0; j < 4; ++j) {
        good.push_back(simulate({{{60, 60}, {.9, .9}}, {{60, 60}, {.9, .9}}}, 10 + j));
        bad.push_back(simulate({{{60, 60}, {.9, .9}}, {{60, 60}, {.5, .5}}}, 20 + j));
    }
    const TrainingStatistic hits{
        "errors", "1 - accuracy", [](const Cohort&, const Scored& s) {
            const auto errors = [](const GroupFigures& f) { return 1 - f.metric(0, kAccuracy); };
            return Resampled{errors(s.seen.figures(0)),
                             s.resampled.each([&](int64_t r) { return errors(s.resampled.figures(r)); })};
        }};
    const TrainingsReport r = compare_trainings(good, bad, {"sex"}, {.resamples = 200}, {hits});
    EXPECT_EQ(r.trainings, 4);
    const TrainingsFigure& accuracy = figure(r.metrics, "accuracy");
    EXPECT_NEAR(accuracy.difference->mean, accuracy.ours.mean - accuracy.other->mean, 1e-12);
    EXPECT_GT(accuracy.difference->low, 0);
    EXPECT_LT(accuracy.difference->p, .01);
    const auto& sex = r.attributes.at(0).figures;
    EXPECT_GT(figure(sex, "worst_accuracy").difference->low, .2);
    EXPECT_LT(figure(sex, "rms_squared").difference->high, 0);
    EXPECT_LT(figure(sex, "accuracy:a").difference->low, 0);
    EXPECT_GT(figure(sex, "accuracy:a").difference->high, 0);
    EXPECT_NEAR(figure(sex, "errors").ours.mean, 1 - figure(sex, "accuracy:a").ours.mean, 1e-12);
    EXPECT_GT(accuracy.difference->detectable, 2 * accuracy.difference->error);

    EXPECT_FALSE(compare_trainings(good, {}, {}, {.resamples = 50}).metrics[0].difference);
    bad.pop_back();
    expect_error(
        Exit::usage, [&] { compare_trainings(good, bad, {}); }, "4 trainings are compared with 3");
}

// Two trainings have one degree of freedom, so t is 12.7: without an end the interval of an accuracy leaves [0, 1].
TEST(Trainings, IntervalsOfSharesEndWhereASharesValuesDo) {
    const auto two = [](double first, double second, uint64_t seed) {
        return std::vector{simulate({{{60, 60}, {first, first}}, {{60, 60}, {first, first}}}, seed),
                           simulate({{{60, 60}, {second, second}}, {{60, 60}, {second, second}}}, seed + 1)};
    };
    const TrainingsReport r = compare_trainings(two(.98, .7, 40), two(.02, .4, 50), {"sex"}, {.resamples = 100});
    for (const auto& f : {figure(r.metrics, "accuracy"), figure(r.attributes[0].figures, "worst_accuracy"),
                          figure(r.attributes[0].figures, "accuracy:a")}) {
        EXPECT_EQ(f.ours.high, 1) << f.key;
        EXPECT_EQ(f.other->low, 0) << f.key;
        EXPECT_EQ(f.difference->high, 1) << f.key;
        EXPECT_GE(f.difference->low, -1) << f.key;
        EXPECT_LE(f.ours.low, f.ours.mean) << f.key;
        EXPECT_GE(f.ours.low, 0) << f.key;
        // p and the error are those of the whole interval.
        EXPECT_GT(f.ours.mean + t_quantile(.975, f.ours.freedom) * f.ours.error, 1) << f.key;
    }
    // The estimate of rms^2 may be negative, and so may its interval.
    const TrainingsReport fair = compare_trainings(two(.9, .9, 60), {}, {"sex"}, {.resamples = 100});
    EXPECT_LT(figure(fair.attributes[0].figures, "rms_squared").ours.low, 0);
}

TEST(Trainings, ASmallPIsABound) {
    const auto text = [](double p) {
        TrainingsReport r{.samples = 10, .units = 10, .trainings = 2};
        const CrossedEstimate e{.values = {.5, .5}, .mean = .5, .low = .4, .high = .6, .p = p};
        r.metrics = {{.key = "accuracy", .formula = "", .ours = e, .other = e, .difference = e}};
        return to_text(r);
    };
    EXPECT_NE(text(1e-9).find("<0.0001"), std::string::npos);
    EXPECT_EQ(text(1e-9).find("0.0000"), std::string::npos);
    EXPECT_NE(text(1e-4).find("0.0001 "), std::string::npos);
    EXPECT_EQ(text(1e-4).find("<"), std::string::npos);
}

TEST(Trainings, OfAnEceOnlyTheDifferenceHasAnInterval) {
    std::vector<Predictions> sure, unsure;
    for (uint64_t j = 0; j < 3; ++j)
        for (const float q : {.95f, .7f}) {
            Predictions p = simulate({{{60, 60}, {.7, .7}}, {{60, 60}, {.7, .7}}}, 30 + j);
            for (const int pred : p.pred) {
                p.prob.push_back(pred == 0 ? q : 1 - q);
                p.prob.push_back(pred == 0 ? 1 - q : q);
            }
            (q > .9f ? sure : unsure).push_back(std::move(p));
        }
    const TrainingsReport r = compare_trainings(sure, unsure, {"sex"}, {.resamples = 50});
    for (const auto& f : {figure(r.metrics, "ece"), figure(r.attributes[0].figures, "worst_ece"),
                          figure(r.attributes[0].figures, "ece:a")}) {
        EXPECT_TRUE(std::isnan(f.ours.low) && std::isnan(f.other->high) && std::isnan(f.ours.p)) << f.key;
        EXPECT_NE(f.ours.reason.find("noise"), std::string::npos) << f.key;
        EXPECT_GT(f.difference->low, 0) << f.key;
    }
    EXPECT_FALSE(std::isnan(figure(r.metrics, "accuracy").ours.low));
}

}  // namespace
}  // namespace fp
