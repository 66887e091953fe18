#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/fairness/evaluate.h"
#include "engine/prune/sweep.h"

namespace fp {
namespace {

constexpr double kLevel = 0.05;

// The test figures of one point over its tunings.
struct TestSeries {
    std::vector<double> accuracy = {};
    std::map<std::string, std::vector<double>> squares = {};  // rms^2 of the primary gap, by attribute
};

TestSeries test_series(const SweptPoint& p) {
    TestSeries out;
    for (const SweepRun& run : p.runs) {
        if (!run.figures) continue;
        out.accuracy.push_back(run.figures->balanced_accuracy);
        for (const TestFigures::AttributeGap& g : run.figures->gaps) out.squares[g.attribute].push_back(g.rms_squared);
    }
    return out;
}

double mean_over_runs(const SweptPoint& p, const std::string& attribute, double TestFigures::AttributeGap::*figure) {
    return mean_of_defined(int64_t(p.runs.size()), [&](int64_t i) {
        const TestFigures::AttributeGap* gap = p.runs[size_t(i)].figures->gap_by(attribute);
        return gap ? gap->*figure : kNotEstimable;
    });
}

double cost(double v) { return std::isnan(v) ? std::numeric_limits<double>::infinity() : v; }

bool dominates(const ParetoFigures& a, const ParetoFigures& b) {
    const double accuracy = cost(-a.accuracy), other_accuracy = cost(-b.accuracy);
    const double objective = cost(-a.objective), other_objective = cost(-b.objective);
    const bool faster = cost(a.latency_high) < cost(b.latency_low);
    const bool slower = cost(b.latency_high) < cost(a.latency_low);
    return a.counts && accuracy <= other_accuracy && objective <= other_objective && !slower &&
           (accuracy < other_accuracy || objective < other_objective || faster);
}

// Its gaps on test minus a control's.
AgainstControl difference(const SweptPoint& p, const SweptPoint& control) {
    const TestSeries own = test_series(p), other = test_series(control);
    AgainstControl out{.control = control.point.name,
                       .gaps = {},
                       .balanced_accuracy = paired_difference(own.accuracy, other.accuracy)};
    for (const GapSummary& g : p.test_gaps)
        if (const auto found = other.squares.find(g.attribute);
            found != other.squares.end() && found->second.size() == own.accuracy.size())
            out.gaps.push_back({.attribute = g.attribute,
                                .change = paired_difference(own.squares.at(g.attribute), found->second),
                                .control = summarize_seeds(found->second).mean});
    return out;
}

// One test per attribute and control of the chosen point; every other difference loses its p.
void test_the_chosen(SweepResult& r) {
    std::vector<GapDifference*> tests;
    for (size_t i = 0; i < r.points.size(); ++i)
        for (AgainstControl& a : r.points[i].against) {
            a.balanced_accuracy.p = kNotEstimable;
            for (GapDifference& g : a.gaps)
                if (int(i) == r.selected && !std::isnan(g.change.p))
                    tests.push_back(&g);
                else
                    g.change.p = kNotEstimable;
        }
    r.tests = int(tests.size());
    if (tests.empty()) return;
    std::vector<double*> family;
    for (GapDifference* g : tests) {
        const double t = t_of_p(kLevel / r.tests, g->change.n - 1);
        g->least_change = t * g->change.sd / std::sqrt(double(g->change.n));
        g->p_holm = g->change.p;
        family.push_back(&g->p_holm);
        r.t_needed = t;
    }
    holm(family);
}

void compare_with_controls(SweepResult& r) {
    for (SweptPoint& p : r.points) {
        if (p.point.control || !p.test_accuracy) continue;
        for (const std::string& name : {kDenseControl, random_control(to_string(p.point.settings.choose.amount))}) {
            const auto control = std::ranges::find(r.points, name, [](const SweptPoint& c) { return c.point.name; });
            if (control != r.points.end() && control->runs.size() == p.runs.size())
                p.against.push_back(difference(p, *control));
        }
    }
    test_the_chosen(r);
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

const TestFigures::AttributeGap* TestFigures::gap_by(const std::string& attribute) const {
    const auto found = std::ranges::find(gaps, attribute, &AttributeGap::attribute);
    return found == gaps.end() ? nullptr : &*found;
}

TestFigures test_figures(const Predictions& p, const std::vector<std::string>& attributes, const Steps& progress) {
    const Report r = evaluate(p, attributes, {.progress = progress});
    TestFigures out{.accuracy = r.metric("accuracy").value,
                    .balanced_accuracy = r.metric("balanced_accuracy").value,
                    .macro_f1 = r.metric("macro_f1").value,
                    .gaps = {}};
    for (const AttributeReport& a : r.attributes) {
        if (!a.no_gaps.empty()) continue;
        out.gaps.push_back({.attribute = a.name,
                            .rms_squared = a.primary.rms_squared,
                            .fair_high = a.primary.fair_high,
                            .shown = a.gap(kShownGap).value});
    }
    return out;
}

void summarize_points(SweepResult& r) {
    std::vector<ParetoFigures> pareto;
    for (SweptPoint& p : r.points) {
        const SweepFigures val = validation_figures(p);
        p.val_accuracy = summarize_seeds(val.accuracy);
        p.val_objective = summarize_seeds(val.objective);
        const TestSeries test = test_series(p);
        if (!test.accuracy.empty()) p.test_accuracy = summarize_seeds(test.accuracy);
        for (const std::string& a : r.attributes)
            if (test.squares.contains(a) && test.squares.at(a).size() == p.runs.size())
                p.test_gaps.push_back({.attribute = a,
                                       .rms_squared = summarize_seeds(test.squares.at(a)),
                                       .fair_high = mean_over_runs(p, a, &TestFigures::AttributeGap::fair_high),
                                       .shown = mean_over_runs(p, a, &TestFigures::AttributeGap::shown)});
        p.near_chance = !(p.val_accuracy.mean >= r.least_accuracy);
        pareto.push_back({.accuracy = p.val_accuracy.mean,
                          .objective = p.val_objective.mean,
                          .latency_low = p.latency.low,
                          .latency_high = p.latency.high,
                          .counts = !p.near_chance});
    }
    const std::vector<bool> beaten = dominated(pareto);
    for (size_t i = 0; i < r.points.size(); ++i) r.points[i].dominated = beaten[i];
    compare_with_controls(r);
}

}  // namespace fp
