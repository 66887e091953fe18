#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/fairness/evaluate.h"
#include "engine/prune/sweep.h"

namespace fp {
namespace {

constexpr int kRmsResamples = 400;

// The test figures of one point over its seeds.
struct TestSeries {
    std::vector<double> accuracy, gap;
};

TestSeries test_series(const SweptPoint& p, const std::string& attribute) {
    TestSeries out;
    for (const SweepRun& run : p.runs) {
        if (!run.figures) continue;
        out.accuracy.push_back(run.figures->balanced_accuracy);
        out.gap.push_back(run.figures->gap_by(attribute));
    }
    return out;
}

double cost(double v) { return std::isnan(v) ? std::numeric_limits<double>::infinity() : v; }

bool dominates(const ParetoFigures& a, const ParetoFigures& b) {
    const double accuracy = cost(-a.accuracy), other_accuracy = cost(-b.accuracy);
    const double gap = cost(a.gap), other_gap = cost(b.gap);
    const bool faster = cost(a.latency_high) < cost(b.latency_low);
    const bool slower = cost(b.latency_high) < cost(a.latency_low);
    return a.counts && accuracy <= other_accuracy && gap <= other_gap && !slower &&
           (accuracy < other_accuracy || gap < other_gap || faster);
}

// Holm's correction over every difference of a gap from a control's.
void correct_for_many(std::vector<SweptPoint>& points) {
    std::vector<double*> family;
    for (SweptPoint& point : points)
        for (AgainstControl& a : point.against) {
            a.gap_p_holm = a.gap.p;
            family.push_back(&a.gap_p_holm);
        }
    holm(family);
}

}  // namespace

std::vector<bool> dominated(const std::vector<ParetoFigures>& all) {
    std::vector<bool> out;
    for (const ParetoFigures& own : all)
        out.push_back(std::ranges::any_of(all, [&](const ParetoFigures& other) { return dominates(other, own); }));
    return out;
}

SweepFigures validation_figures(const SweptPoint& p) {
    SweepFigures out{.control = p.point.control, .accuracy = {}, .objective = {}};
    for (const SweepRun& run : p.runs) {
        out.accuracy.push_back(run.result.kept().val.metric("balanced_accuracy"));
        out.objective.push_back(run.result.kept().objective.value);
    }
    return out;
}

double TestFigures::gap_by(const std::string& attribute) const {
    for (const AttributeGap& g : gaps)
        if (g.attribute == attribute) return g.gap;
    return kNotEstimable;
}

TestFigures test_figures(const Predictions& p, const std::vector<std::string>& attributes, const Steps& progress) {
    const Report r = evaluate(p, attributes, {.resamples = kRmsResamples, .progress = progress});
    TestFigures out{.accuracy = r.metric("accuracy").value,
                    .balanced_accuracy = r.metric("balanced_accuracy").value,
                    .macro_f1 = r.metric("macro_f1").value,
                    .gaps = {}};
    for (const AttributeReport& a : r.attributes) {
        if (!a.no_gaps.empty()) continue;
        const Gap& g = a.gap(kComparedGap);
        out.gaps.push_back({.attribute = a.name,
                            .gap = g.value,
                            .rms_squared = g.rms_squared,
                            .fair_low = g.fair_low,
                            .fair_high = g.fair_high});
    }
    return out;
}

void summarize_points(SweepResult& r) {
    std::map<std::string, TestSeries> series;
    std::vector<ParetoFigures> pareto;
    for (SweptPoint& p : r.points) {
        const SweepFigures val = validation_figures(p);
        p.val_accuracy = summarize_seeds(val.accuracy);
        p.val_objective = summarize_seeds(val.objective);
        const TestSeries& test = series[p.point.name] = test_series(p, r.attribute);
        if (!test.accuracy.empty()) {
            p.test_accuracy = summarize_seeds(test.accuracy);
            p.test_gap = summarize_seeds(test.gap);
        }
        const double gap = p.test_gap ? p.test_gap->mean : kNotEstimable,
                     accuracy = p.test_accuracy.value_or(p.val_accuracy).mean;
        p.near_chance = !(accuracy >= r.least_accuracy);
        pareto.push_back({.accuracy = accuracy,
                          .gap = r.attribute.empty() ? 0 : gap,
                          .latency_low = p.latency.low,
                          .latency_high = p.latency.high,
                          .counts = !p.near_chance});
    }
    const std::vector<bool> beaten = dominated(pareto);
    for (size_t i = 0; i < r.points.size(); ++i) {
        SweptPoint& p = r.points[i];
        p.dominated = beaten[i];
        if (p.point.control) continue;
        const TestSeries& own = series.at(p.point.name);
        for (const std::string& control : {kDenseControl, random_control(to_string(p.point.settings.choose.amount))}) {
            const auto found = series.find(control);
            if (found == series.end() || found->second.gap.size() != own.gap.size()) continue;
            p.against.push_back({.control = control,
                                 .gap = paired_difference(own.gap, found->second.gap),
                                 .balanced_accuracy = paired_difference(own.accuracy, found->second.accuracy)});
        }
    }
    correct_for_many(r.points);
}

}  // namespace fp
