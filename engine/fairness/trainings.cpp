#include "engine/fairness/trainings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/primary_gap.h"
#include "engine/fairness/student.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kPower = 0.8;

double variance_of(const std::vector<double>& values) {
    const int64_t n = int64_t(values.size());
    const double mean = mean_of_defined(n, [&](int64_t i) { return values[size_t(i)]; });
    double squares = 0;
    for (const double v : values) squares += (v - mean) * (v - mean);
    return n < 2 ? kNotEstimable : squares / double(n - 1);
}

// Resamples of one training, or of a mean or a difference: what Resampled holds.
struct Series {
    std::vector<double> linear, quadratic;

    // The variance over resamples; with a quadratic part, whose noise resampling has added, without that.
    double variance() const {
        if (quadratic.empty()) return variance_of(linear);
        const double without_gap = variance_of(quadratic);
        return std::max(without_gap, variance_of(linear) - without_gap);
    }
};

// The resamples that are estimable in every training: their mean, and each training minus it.
struct Resamples {
    Series mean;
    std::vector<Series> apart;
};
Resamples estimable(const std::vector<Resampled>& trainings) {
    Resamples out{.mean = {}, .apart = std::vector<Series>(trainings.size())};
    const auto add = [&](size_t r, std::vector<double> Resampled::*of, std::vector<double> Series::*to) {
        double sum = 0;
        for (const Resampled& t : trainings) sum += (t.*of)[r];
        if (std::isnan(sum)) return;
        const double mean = sum / double(trainings.size());
        (out.mean.*to).push_back(mean);
        for (size_t j = 0; j < trainings.size(); ++j) (out.apart[j].*to).push_back((trainings[j].*of)[r] - mean);
    };
    for (size_t r = 0; r < trainings[0].resampled.size(); ++r) add(r, &Resampled::resampled, &Series::linear);
    for (size_t r = 0; r < trainings[0].quadratic.size(); ++r) add(r, &Resampled::quadratic, &Series::quadratic);
    return out;
}

// Why there is no interval; empty where there is one.
std::string why_no_interval(const std::vector<Resampled>& trainings, const Resamples& resamples) {
    const size_t all = trainings[0].resampled.size();
    if (trainings.size() < 2) return "one training does not show how trainings vary";
    if (all == 0) return "no resamples were asked for";
    const double undefined = 1 - double(resamples.mean.linear.size()) / double(all);
    return undefined > kMostUndefined ? fmt::format("not estimable in {:.0f} % of resamples", 100 * undefined) : "";
}

// ours - other of each pair.
std::vector<Resampled> pair_differences(const std::vector<Resampled>& ours, const std::vector<Resampled>& other) {
    std::vector<Resampled> out = ours;
    for (size_t j = 0; j < out.size(); ++j) {
        out[j].value -= other[j].value;
        for (const auto part : {&Resampled::resampled, &Resampled::quadratic})
            for (size_t r = 0; r < (out[j].*part).size(); ++r) (out[j].*part)[r] -= (other[j].*part)[r];
    }
    return out;
}

Resampled each(const Scored& scored, const std::function<double(const GroupFigures&)>& statistic) {
    return {statistic(scored.seen.figures(0)),
            scored.resampled.each([&](int64_t r) { return statistic(scored.resampled.figures(r)); }),
            {}};
}

double worst_of(const GroupFigures& f, const std::vector<int>& groups, int metric) {
    double worst = kNotEstimable;
    const double sign = kMetricDefinitions[size_t(metric)].lower_is_better ? -1 : 1;
    for (const int g : groups) {
        const double v = f.metric(g, metric);
        if (std::isnan(v)) return v;
        if (!(sign * worst <= sign * v)) worst = v;
    }
    return worst;
}

std::vector<TrainingStatistic> metric_statistics(const Scorer& scorer) {
    std::vector<TrainingStatistic> out;
    for (int m = 0; m < kMetrics; ++m) {
        const MetricDefinition& d = kMetricDefinitions[size_t(m)];
        if (m == kSensitivity && scorer.point().positive < 0) continue;
        out.push_back({.key = d.key,
                       .formula = d.formula,
                       .of =
                           [m](const Cohort&, const Scored& scored) {
                               return each(scored, [m](const GroupFigures& f) { return f.metric(0, m); });
                           },
                       .lifted = d.absolute,
                       .share = true});
    }
    return out;
}

std::vector<TrainingStatistic> attribute_statistics(const Cohort& cohort,
                                                    const Scorer& scorer,
                                                    const std::vector<TrainingStatistic>& more) {
    std::vector<TrainingStatistic> out;
    if (cohort.why_no_gaps().empty()) out.push_back({"rms_squared", kPrimaryFormula, primary_resampled});
    for (int m = 0; m < kMetrics; ++m) {
        const MetricDefinition& d = kMetricDefinitions[size_t(m)];
        if (m == kSensitivity && scorer.point().positive < 0) continue;
        out.push_back({.key = fmt::format("worst_{}", d.key),
                       .formula = "of the worst group",
                       .of =
                           [m](const Cohort& c, const Scored& scored) {
                               return each(scored, [&](const GroupFigures& f) { return worst_of(f, c.compared, m); });
                           },
                       .lifted = d.absolute,
                       .share = true});
        for (const int g : cohort.compared)
            out.push_back({.key = fmt::format("{}:{}", d.key, cohort.groups[size_t(g)]),
                           .formula = d.formula,
                           .of =
                               [m, g](const Cohort&, const Scored& scored) {
                                   return each(scored, [=](const GroupFigures& f) { return f.metric(g, m); });
                               },
                           .lifted = d.absolute,
                           .share = true});
    }
    out.insert(out.end(), more.begin(), more.end());
    return out;
}

// The statistics of all trainings on one cohort: [statistic][training]. The rows of a training are dropped at once.
using StatisticValues = std::vector<std::vector<Resampled>>;
void add_training(StatisticValues& values,
                  const Scorer& scorer,
                  const Cohort& cohort,
                  const std::vector<TrainingStatistic>& statistics,
                  const EvaluateOptions& options) {
    const Scored scored = score_cohort(scorer, cohort, options);
    values.resize(statistics.size());
    for (size_t s = 0; s < statistics.size(); ++s) values[s].push_back(statistics[s].of(cohort, scored));
}

// NaN stays.
void end_at(CrossedEstimate& e, double least, double most) {
    if (e.low < least) e.low = least;
    if (e.high > most) e.high = most;
}

CrossedEstimate of_one_method(const TrainingStatistic& statistic,
                              const std::vector<Resampled>& trainings,
                              int units,
                              double confidence) {
    CrossedEstimate out = crossed_estimate(trainings, units, confidence);
    if (statistic.share) end_at(out, 0, 1);
    if (!statistic.lifted || !out.reason.empty()) return out;
    out.low = out.high = out.p = out.detectable = kNotEstimable;
    out.reason = "noise lifts it: only the difference of two methods has an interval";
    return out;
}

std::vector<TrainingsFigure> figures_of(const std::vector<TrainingStatistic>& statistics,
                                        const StatisticValues& ours,
                                        const StatisticValues& theirs,
                                        int units,
                                        double confidence) {
    std::vector<TrainingsFigure> out;
    for (size_t s = 0; s < statistics.size(); ++s) {
        TrainingsFigure& f = out.emplace_back();
        f.key = statistics[s].key;
        f.formula = statistics[s].formula;
        f.ours = of_one_method(statistics[s], ours[s], units, confidence);
        if (theirs.empty()) continue;
        f.other = of_one_method(statistics[s], theirs[s], units, confidence);
        f.difference = crossed_estimate(pair_differences(ours[s], theirs[s]), units, confidence);
        if (statistics[s].share) end_at(*f.difference, -1, 1);
    }
    return out;
}

}  // namespace

CrossedEstimate crossed_estimate(const std::vector<Resampled>& trainings, int units, double confidence) {
    FP_CHECK(!trainings.empty(), "no trainings");
    CrossedEstimate out;
    for (const Resampled& t : trainings) out.values.push_back(t.value);
    const double k = double(trainings.size());
    double sum = 0;
    for (const double v : out.values) sum += v;
    out.mean = sum / k;  // NaN where one is
    if (std::isnan(out.mean)) {
        out.reason = "not estimable in every training";
        return out;
    }
    const Resamples resamples = estimable(trainings);
    out.reason = why_no_interval(trainings, resamples);
    if (trainings.size() >= 2) out.sd_trainings = std::sqrt(variance_of(out.values));
    if (!out.reason.empty()) return out;
    const double of_mean = resamples.mean.variance(), between = out.sd_trainings * out.sd_trainings / k;
    double interaction = 0;
    for (const Series& apart : resamples.apart) interaction += apart.variance() / (k - 1);
    const double total = std::max(of_mean, of_mean - interaction / k + between);
    out.error_units = std::sqrt(of_mean);
    out.error = std::sqrt(total);
    if (total == 0) {
        out.reason = "all trainings and resamples agree";
        return out;
    }
    const double rest = total - between;
    out.freedom =
        std::max(k - 1, total * total / (between * between / (k - 1) + rest * rest / double(std::max(1, units - 1))));
    const double half = t_quantile((1 + confidence) / 2, out.freedom) * out.error;
    out.low = out.mean - half;
    out.high = out.mean + half;
    out.p = two_sided_p(std::abs(out.mean) / out.error, out.freedom);
    out.detectable = detectable_ratio(1 - confidence, kPower, out.freedom) * out.error;
    return out;
}

TrainingsReport compare_trainings(const std::vector<Predictions>& ours,
                                  const std::vector<Predictions>& theirs,
                                  const std::vector<std::string>& attributes,
                                  const EvaluateOptions& given,
                                  const std::vector<TrainingStatistic>& more) {
    FP_REQUIRE(theirs.empty() || theirs.size() == ours.size(), Exit::usage, ours.size(),
               " trainings are compared with ", theirs.size(), "; they are pairs, so as many of both are wanted");
    std::vector<const Predictions*> all;
    for (const auto* side : {&ours, &theirs})
        for (const Predictions& p : *side) all.push_back(&p);
    FP_CHECK(!all.empty(), "no trainings");
    const Predictions& widest = **std::ranges::max_element(all, {}, [](auto* p) { return p->classes.size(); });

    const int64_t passes = int64_t(all.size() * (1 + attributes.size()));
    const EvaluateOptions options = over_passes(given, passes);
    std::vector<Cohort> cohorts{whole(widest)};
    for (const auto& attribute : attributes) cohorts.push_back(by_attribute(widest, attribute, options.min_group_size));
    std::vector<std::vector<TrainingStatistic>> statistics;
    std::vector<StatisticValues> values(2 * cohorts.size());  // of each cohort ours, then theirs
    for (size_t j = 0; j < all.size(); ++j) {
        const Predictions p = on_rows_of(widest, *all[j]);
        const Scorer scorer(p, operating_point(p.classes, options.positive, options.specificity));
        if (j == 0)
            for (size_t c = 0; c < cohorts.size(); ++c)
                statistics.push_back(c == 0 ? metric_statistics(scorer)
                                            : attribute_statistics(cohorts[c], scorer, more));
        for (size_t c = 0; c < cohorts.size(); ++c)
            add_training(values[2 * c + (j >= ours.size())], scorer, cohorts[c], statistics[c], options);
    }

    TrainingsReport out{.samples = widest.size(), .units = cohorts[0].units(), .trainings = int(ours.size())};
    out.options = options;
    out.options.progress = {};
    const auto figures = [&](size_t c) {
        return figures_of(statistics[c], values[2 * c], values[2 * c + 1], cohorts[c].units(), options.confidence);
    };
    out.metrics = figures(0);
    for (size_t a = 0; a < attributes.size(); ++a)
        out.attributes.push_back(
            {.name = attributes[a], .no_gaps = cohorts[a + 1].why_no_gaps(), .figures = figures(a + 1)});
    end_passes(given, passes);
    return out;
}

}  // namespace fp
