#include "engine/fairness/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/fairness/bootstrap.h"

namespace fp {
namespace {

constexpr int kMostClasses = 200;

// sum_b |sum over the cases of bin b of (truth - probability)| per group and class, for any grouping of the cases.
class ClasswiseEce {
public:
    ClasswiseEce(const Predictions& p, std::vector<int> classes)
        : classes_(std::move(classes)), cases_(p.label.size()) {
        for (size_t i = 0; i < cases_; ++i)
            for (const int c : classes_) {
                const double probability = p.row(int64_t(i))[c];
                bin_.push_back(uint8_t(ece_bin(probability)));
                excess_.push_back((p.label[i] == c) - probability);
            }
    }
    // The mean over classes of each group's ECE; `group_of_case` -1: in none. NaN of an empty group.
    std::vector<double> of(const std::vector<int>& group_of_case, int groups) const {
        const size_t width = classes_.size() * kEceBins;
        std::vector<double> sums(size_t(groups) * width), cases(size_t(groups), 0), out(size_t(groups), 0);
        for (size_t i = 0; i < cases_; ++i) {
            const int g = group_of_case[i];
            if (g < 0) continue;
            ++cases[size_t(g)];
            double* own = sums.data() + size_t(g) * width;
            for (size_t k = 0, at = i * classes_.size(); k < classes_.size(); ++k, ++at)
                own[k * kEceBins + bin_[at]] += excess_[at];
        }
        for (size_t g = 0; g < out.size(); ++g) {
            for (size_t b = 0; b < width; ++b) out[g] += std::abs(sums[g * width + b]);
            out[g] = ratio(out[g], cases[g] * double(classes_.size()));
        }
        return out;
    }

private:
    std::vector<int> classes_;
    size_t cases_;
    std::vector<uint8_t> bin_;    // cases x classes
    std::vector<double> excess_;  // truth - probability
};

struct EceExtremes {
    int high = -1, low = -1;
    double difference = kNotEstimable;
};
EceExtremes ece_extremes(const std::vector<double>& ece, const std::vector<int>& groups) {
    EceExtremes out;
    for (const int g : groups) {
        if (std::isnan(ece[size_t(g)])) return {};
        if (out.high < 0 || ece[size_t(g)] > ece[size_t(out.high)]) out.high = g;
        if (out.low < 0 || ece[size_t(g)] < ece[size_t(out.low)]) out.low = g;
    }
    out.difference = ece[size_t(out.high)] - ece[size_t(out.low)];
    return out;
}

// Of each permutation of the compared units' groups within diagnosis.
std::vector<double> permuted_gaps(const ClasswiseEce& ece, const Cohort& cohort, const EvaluateOptions& options) {
    std::vector<int> stratum(size_t(cohort.units()), -1);
    for (size_t u = 0; u < stratum.size(); ++u)
        if (cohort.is_compared(cohort.group_of_unit[u])) stratum[u] = cohort.diagnosis_of_unit[u];
    const Strata strata = strata_of(stratum);
    std::vector<double> out(size_t(options.resamples));
    const int threads = threads_for(options.resamples * cohort.cases(), options);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t r = 0; r < int64_t(out.size()); ++r) {
        std::vector<uint16_t> label(cohort.group_of_unit.begin(), cohort.group_of_unit.end());
        permute_labels(strata, options.seed, uint64_t(r), label);
        std::vector<int> group(size_t(cohort.cases()), -1);
        for (size_t i = 0; i < group.size(); ++i)
            if (const int u = cohort.unit_of_case[i]; cohort.in_compared[i] && stratum[size_t(u)] >= 0)
                group[i] = label[size_t(u)];
        out[size_t(r)] = ece_extremes(ece.of(group, cohort.size()), cohort.compared).difference;
    }
    return out;
}

}  // namespace

Calibration calibration_of(const Predictions& p, const std::vector<int>& group_of_case, int group) {
    if (!p.has_probabilities()) return {};
    const size_t classes = p.classes.size();
    std::array<double, kEceBins> cases{}, confidence{}, right{};
    std::vector<std::array<double, kEceBins>> excess(classes, {0});
    std::vector<int64_t> truth(classes);
    double n = 0;
    for (size_t i = 0; i < p.label.size(); ++i) {
        if (!group_of_case.empty() && group_of_case[i] != group) continue;
        const double* row = p.row(int64_t(i));
        const int top = top_class(row, int(classes));
        const size_t b = size_t(ece_bin(row[top]));
        ++n;
        ++cases[b];
        ++truth[size_t(p.label[i])];
        confidence[b] += row[top];
        right[b] += top == p.label[i];
        for (size_t c = 0; c < classes; ++c) excess[c][size_t(ece_bin(row[c]))] += (size_t(p.label[i]) == c) - row[c];
    }
    Calibration out;
    for (size_t b = 0; b < kEceBins; ++b)
        out.reliability.push_back({int64_t(cases[b]), ratio(confidence[b], cases[b]), ratio(right[b], cases[b])});
    for (size_t c = 0; c < classes; ++c) {
        double sum = 0;
        for (const double e : excess[c]) sum += std::abs(e);
        out.class_ece.push_back(ratio(sum, n));
    }
    out.classwise = mean_of_defined(
        int64_t(classes), [&](int64_t c) { return truth[size_t(c)] > 0 ? out.class_ece[size_t(c)] : kNotEstimable; });
    return out;
}

CalibrationGap calibration_gap(const Predictions& p, const Cohort& cohort, const EvaluateOptions& options) {
    if (!p.has_probabilities()) return {.reason = kNoProbabilities};
    std::vector<int> classes;
    for (int c = 0; c < int(p.classes.size()); ++c)
        if (std::ranges::all_of(cohort.compared, [&](int g) { return cohort.positives[size_t(g)][size_t(c)] > 0; }))
            classes.push_back(c);
    if (classes.empty()) return {.reason = "no class with truth in every group"};
    if (int(classes.size()) > kMostClasses) return {.reason = "more than 200 classes"};
    const ClasswiseEce ece(p, classes);
    const EceExtremes seen = ece_extremes(ece.of(cohort.group_of_case, cohort.size()), cohort.compared);
    CalibrationGap out{.value = seen.difference,
                       .group_a = cohort.groups[size_t(seen.high)],
                       .group_b = cohort.groups[size_t(seen.low)],
                       .classes = int(classes.size())};
    if (options.resamples == 0) return out;
    std::vector<double> fair = permuted_gaps(ece, cohort, options);
    erase_nan(fair);
    if (fair.empty()) return out;
    out.p = p_value(out.value, fair);
    out.fair_high = quantile(fair, options.confidence);
    return out;
}

}  // namespace fp
