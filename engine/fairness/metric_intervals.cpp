#include "engine/fairness/metric_intervals.h"

#include <algorithm>

namespace fp {
namespace {

const char* const kNoiseLiftsIt = "noise lifts a sum of absolute values: no valid interval";

}  // namespace

MetricIntervals::MetricIntervals(const Predictions& p,
                                 const Cohort& cohort,
                                 const Scored& scored,
                                 const EvaluateOptions& options)
    : scored_(scored),
      cells_(options.resamples > 0 ? cells_of(p, cohort) : std::vector<GroupCells>()),
      macro_(p, cohort, options) {}

Interval MetricIntervals::of(int group, int metric, double confidence) const {
    const int column = scored_.seen.layout.metric(group, metric);
    if (is_macro(metric)) {
        Interval out = percentile_interval(macro_.of(group, metric), confidence);
        // The added units pull towards the group's average, in small classes past the value itself.
        const double value = scored_.seen.figures(0).row[column];
        out.low = std::min(out.low, value);
        out.high = std::max(out.high, value);
        return out;
    }
    if (metric == kAccuracy && !cells_.empty() && cells_[size_t(group)].accuracy.small())
        return cells_[size_t(group)].accuracy.interval(confidence);
    Interval out = percentile_interval(scored_.resampled.column(column), confidence);
    if (kMetricDefinitions[size_t(metric)].absolute && out.reason.empty()) return {.reason = kNoiseLiftsIt};
    return out;
}

Interval MetricIntervals::worst_of(const std::vector<int>& groups, int metric) const {
    const bool largest = kMetricDefinitions[size_t(metric)].lower_is_better;
    const double corrected = 1 - (1 - scored_.confidence) / double(groups.size());
    const auto worse = [&](double a, double b) { return largest ? std::max(a, b) : std::min(a, b); };
    Interval out;
    for (const int g : groups) {
        // The side towards better values needs the correction.
        const Interval one = of(g, metric), wide = of(g, metric, corrected);
        if (!one.reason.empty() || !wide.reason.empty())
            return {.reason = one.reason.empty() ? wide.reason : one.reason};
        const double low = largest ? wide.low : one.low, high = largest ? one.high : wide.high;
        out.low = g == groups.front() ? low : worse(out.low, low);
        out.high = g == groups.front() ? high : worse(out.high, high);
    }
    return out;
}

void MetricIntervals::set_rates(ClassFigures& f, int group, int c) const {
    if (cells_.empty()) return;
    const GroupCells& cells = cells_[size_t(group)];
    set_rate_interval(f.tpr, cells.tpr[size_t(c)], scored_.confidence);
    set_rate_interval(f.fpr, cells.fpr[size_t(c)], scored_.confidence);
    set_rate_interval(f.selected, cells.selected[size_t(c)], scored_.confidence);
}

}  // namespace fp
