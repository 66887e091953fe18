// Figures of a sample, written again without the engine: of a sample so large that they are the truth.
#pragma once

#include "tests/fairness/lesions.h"

namespace fp::testing {

// The images of a group; of all where it is -1.
struct View {
    const Sample& sample;
    size_t model = 0;
    int group = -1;

    bool holds(size_t i) const { return group < 0 || sample.group[i] == group; }
    int pred(size_t i) const { return sample.models[model].pred[i]; }
    double prob(size_t i, int c) const { return sample.models[model].prob[i * size_t(sample.classes) + size_t(c)]; }
};

struct TrueRates {
    Rates tpr, fpr, f1;
    double accuracy = 0;
};

// NaN where a class has no image, or all.
inline TrueRates rates_of(const View& v) {
    const size_t classes = size_t(v.sample.classes);
    Rates truth(classes), called(classes), hit(classes);
    double n = 0;
    for (size_t i = 0; i < v.sample.size(); ++i) {
        if (!v.holds(i)) continue;
        ++n;
        ++truth[size_t(v.sample.truth[i])];
        ++called[size_t(v.pred(i))];
        if (v.pred(i) == v.sample.truth[i]) ++hit[size_t(v.pred(i))];
    }
    TrueRates out;
    for (size_t c = 0; c < classes; ++c) {
        out.tpr.push_back(hit[c] / truth[c]);
        out.fpr.push_back((called[c] - hit[c]) / (n - truth[c]));
        out.f1.push_back(2 * hit[c] / (truth[c] + called[c]));
        out.accuracy += hit[c] / n;
    }
    return out;
}

inline double mean_of(const Rates& rates) {
    return std::accumulate(rates.begin(), rates.end(), 0.0) / double(rates.size());
}

// The chance that an image of class c has a higher probability of it than an image of another class, by ranks.
inline double auc_of(const View& v, int c) {
    std::vector<std::pair<double, bool>> scores;
    for (size_t i = 0; i < v.sample.size(); ++i)
        if (v.holds(i)) scores.emplace_back(v.prob(i, c), v.sample.truth[i] == c);
    std::sort(scores.begin(), scores.end());
    double ranks = 0, positives = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
        if (!scores[i].second) continue;
        ranks += double(i) + 1;
        ++positives;
    }
    const double negatives = double(scores.size()) - positives;
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives);
}

inline double macro_auc_of(const View& v) {
    double sum = 0;
    for (int c = 0; c < v.sample.classes; ++c) sum += auc_of(v, c);
    return sum / v.sample.classes;
}

// sum_b (n_b / n) |accuracy_b - mean confidence_b| over 15 equal bins of the top probability.
inline double ece_of(const View& v) {
    constexpr int kBins = 15;
    Rates off(kBins);
    double n = 0, sum = 0;
    for (size_t i = 0; i < v.sample.size(); ++i) {
        if (!v.holds(i)) continue;
        const double top = v.prob(i, v.pred(i));
        off[size_t(std::clamp(int(std::ceil(top * kBins)) - 1, 0, kBins - 1))] +=
            (v.pred(i) == v.sample.truth[i]) - top;
        ++n;
    }
    for (double d : off) sum += std::abs(d) / n;
    return sum;
}

// Lesions by group and diagnosis.
inline GroupRates lesions_of(const Sample& sample) {
    GroupRates count(size_t(sample.groups), Rates(size_t(sample.classes)));
    for (size_t i = 0; i < sample.size(); ++i)
        if (i == 0 || sample.lesion[i] != sample.lesion[i - 1])
            ++count[size_t(sample.group[i])][size_t(sample.truth[i])];
    return count;
}

// The squared gaps of one rate over all pairs of groups and all classes: their mean with weights n_a n_b / (n_a + n_b),
// n the lesions in the rates' denominators. A gap between fewer than `fewest` lesions is left out.
inline double mean_squared_gap(const std::vector<TrueRates>& groups,
                               Rates TrueRates::*rate,
                               const GroupRates& denominators,
                               double fewest) {
    double sum = 0, weights = 0;
    for (size_t a = 0; a < groups.size(); ++a)
        for (size_t b = a + 1; b < groups.size(); ++b)
            for (size_t c = 0; c < denominators[a].size(); ++c) {
                const double n_a = denominators[a][c], n_b = denominators[b][c];
                if (n_a < fewest || n_b < fewest) continue;
                const double weight = n_a * n_b / (n_a + n_b);
                sum += weight * std::pow((groups[a].*rate)[c] - (groups[b].*rate)[c], 2);
                weights += weight;
            }
    return sum / weights;
}

// The true square of the primary gap of groups with these rates, for the numbers of lesions in `sample`: the mean of
// those of TPR and FPR (engine/fairness/primary_gap.h).
inline double primary_square_of(const std::vector<TrueRates>& groups, const Sample& sample) {
    const GroupRates with = lesions_of(sample);
    GroupRates without = with;
    for (size_t g = 0; g < with.size(); ++g) {
        const double all = std::accumulate(with[g].begin(), with[g].end(), 0.0);
        for (size_t c = 0; c < with[g].size(); ++c) without[g][c] = all - with[g][c];
    }
    constexpr double kFewest = 2;
    return (mean_squared_gap(groups, &TrueRates::tpr, with, kFewest) +
            mean_squared_gap(groups, &TrueRates::fpr, without, kFewest)) /
           2;
}

inline std::vector<TrueRates> rates_of_groups(const Sample& sample, size_t model) {
    std::vector<TrueRates> out;
    for (int g = 0; g < sample.groups; ++g) out.push_back(rates_of({sample, model, g}));
    return out;
}

// The same with the TPR that the population has by construction: of a tiny group even a large sample has few lesions of
// a class.
inline std::vector<TrueRates> known_rates_of_groups(const Population& population, const Sample& large, size_t model) {
    std::vector<TrueRates> out = rates_of_groups(large, model);
    for (size_t g = 0; g < out.size(); ++g) out[g].tpr = population.models[model].tpr[g];
    return out;
}
inline double accuracy_of_group(const Population& population, int group, size_t model) {
    const Rates &mix = population.mix[size_t(group)], &tpr = population.models[model].tpr[size_t(group)];
    const double all = std::accumulate(mix.begin(), mix.end(), 0.0);
    return std::inner_product(mix.begin(), mix.end(), tpr.begin(), 0.0) / all;
}

// 1/2 mean_c |D_T + D_F|, the eodd of FATE.
inline double eodd_of(const Sample& sample, size_t model, int a, int b) {
    const TrueRates first = rates_of({sample, model, a}), second = rates_of({sample, model, b});
    double sum = 0;
    for (size_t c = 0; c < first.tpr.size(); ++c)
        sum += std::abs(first.tpr[c] - second.tpr[c] + first.fpr[c] - second.fpr[c]) / 2;
    return sum / double(first.tpr.size());
}

}  // namespace fp::testing
