#include "engine/fairness/macro_resamples.h"

#include <algorithm>

#include "kernels/random.h"

namespace fp {
namespace {

constexpr double kAverageUnits = 1;  // of the group's average, in each class
constexpr uint64_t kPurpose = 0x3ac40;

// How an image of a group is judged on average.
struct Average {
    double accuracy = 0;
    std::vector<double> predicted = {};  // rising sums of the predictions per class, half of one added to each

    // The prediction for an image of class c; u uniform in [0, 1).
    int predict(int c, double u) const {
        if (u < accuracy) return c;
        const double own = predicted[size_t(c)] - (c == 0 ? 0 : predicted[size_t(c) - 1]), all = predicted.back();
        double at = (u - accuracy) / (1 - accuracy) * (all - own);
        if (at >= predicted[size_t(c)] - own) at += own;
        const auto found = std::upper_bound(predicted.begin(), predicted.end(), at);
        return int(std::min(found - predicted.begin(), std::ptrdiff_t(predicted.size()) - 1));
    }
};

std::vector<Average> averages_of(const Predictions& p, const Cohort& cohort) {
    std::vector<Average> out(size_t(cohort.size()), {.predicted = std::vector<double>(p.classes.size(), 0.5)});
    std::vector<double> cases(out.size());
    for (size_t i = 0; i < p.label.size(); ++i) {
        const size_t g = size_t(cohort.group_of_case[i]);
        ++cases[g];
        out[g].accuracy += p.label[i] == p.pred[i];
        ++out[g].predicted[size_t(p.pred[i])];
    }
    for (size_t g = 0; g < out.size(); ++g) {
        if (cases[g] > 0) out[g].accuracy /= cases[g];
        for (size_t c = 1; c < p.classes.size(); ++c) out[g].predicted[c] += out[g].predicted[c - 1];
    }
    return out;
}

}  // namespace

MacroResamples::MacroResamples(const Predictions& p, const Cohort& cohort, const EvaluateOptions& options)
    : groups_(cohort.size()), count_(options.resamples), values_(size_t(count_ * groups_ * kWidth)) {
    const Strata strata = strata_of(cohort.group_of_unit);
    const std::vector<Average> averages = averages_of(p, cohort);
    std::vector<std::vector<int>> cases_of_unit(size_t(cohort.units()));
    for (size_t i = 0; i < p.label.size(); ++i) cases_of_unit[size_t(cohort.unit_of_case[i])].push_back(int(i));
    const auto resample = [&](uint64_t r, std::vector<uint16_t>& times) {
        draw_bootstrap(strata, options.seed, r, times);
        const uint64_t key = key_of(options.seed, kPurpose, r);
        uint64_t drawn = 0;
        std::vector<Tally> tallies(size_t(groups_), Tally(int(p.classes.size())));
        for (size_t unit = 0; unit < cases_of_unit.size(); ++unit)
            for (int copy = 0; copy < times[unit]; ++copy) {
                const double u = uniform_double(key, drawn++);
                for (const int i : cases_of_unit[unit]) {
                    const int g = cohort.group_of_case[size_t(i)], c = p.label[size_t(i)];
                    const double units = cohort.positives[size_t(g)][size_t(c)];
                    const double average = kAverageUnits / (units + kAverageUnits);  // its share
                    const int pred = u < average ? averages[size_t(g)].predict(c, u / average) : p.pred[size_t(i)];
                    tallies[size_t(g)].add(c, pred, 1);
                }
            }
        for (int g = 0; g < groups_; ++g)
            std::ranges::copy(count_metrics(tallies[size_t(g)]),
                              values_.begin() + int64_t(r * uint64_t(groups_) + uint64_t(g)) * kWidth);
    };
    const int threads = threads_for(count_ * p.size(), options);
#pragma omp parallel num_threads(threads)
    {
        std::vector<uint16_t> times(size_t(cohort.units()));
#pragma omp for schedule(static)
        for (int64_t r = 0; r < count_; ++r) resample(uint64_t(r), times);
    }
}

std::vector<double> MacroResamples::of(int group, int metric) const {
    std::vector<double> out;
    for (int64_t r = 0; r < count_; ++r) out.push_back(values_[size_t((r * groups_ + group) * kWidth + metric)]);
    return out;
}

}  // namespace fp
