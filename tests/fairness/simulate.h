// Predictions of a classifier whose rates are known, so that intervals and tests can be held to the truth.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/fairness/predictions.h"
#include "kernels/random.h"
#include "tests/fairness/lesions.h"

namespace fp::testing {

// An image, which is its own unit.
inline void add_case(Predictions& p, int label, int pred, const std::vector<double>& prob = {}) {
    p.image.push_back("i" + std::to_string(p.image.size()));
    p.unit.push_back(p.image.back());
    p.label.push_back(label);
    p.pred.push_back(pred);
    p.prob.insert(p.prob.end(), prob.begin(), prob.end());
    p.split.push_back("test");
}

// How many images of each class a group has, and the rate at which each class is recognised.
struct SimulatedGroup {
    std::vector<int> images;
    std::vector<double> tpr;
};

// Uniform numbers of one simulation, in order.
class Stream {
public:
    explicit Stream(uint64_t seed) : key_(key_of(seed, 0x51u)) {}
    double next() { return uniform_double(key_, index_++); }
    int below(int bound) { return int(next() * bound); }

private:
    uint64_t key_, index_ = 0;
};

// One image a unit, attribute `sex` of values a, b, ...; a miss is any other class with equal chance.
inline Predictions simulate(const std::vector<SimulatedGroup>& groups, uint64_t seed) {
    Predictions p;
    Stream stream(seed);
    const int classes = int(groups[0].images.size());
    for (int c = 0; c < classes; ++c) p.classes.push_back("c" + std::to_string(100 + c));
    p.columns = {"sex"};
    p.attributes.resize(1);
    for (size_t g = 0; g < groups.size(); ++g) {
        for (int c = 0; c < classes; ++c) {
            for (int i = 0; i < groups[g].images[c]; ++i) {
                const bool hit = stream.next() < groups[g].tpr[c];
                add_case(p, c, hit ? c : (c + 1 + stream.below(classes - 1)) % classes);
                p.attributes[0].push_back(std::string(1, char('a' + g)));
            }
        }
    }
    return p;
}

// Two groups whose TPR differ by `gap` in every class, with a sign of its own in each, around `tpr`.
inline std::vector<SimulatedGroup> two_groups(
    const std::vector<int>& first, const std::vector<int>& second, double tpr, double gap, uint64_t seed) {
    Stream stream(key_of(seed, 7u));
    std::vector<SimulatedGroup> groups{{first, {}}, {second, {}}};
    for (size_t c = 0; c < first.size(); ++c) {
        const double half = stream.next() < .5 ? gap / 2 : -gap / 2;
        groups[0].tpr.push_back(tpr + half);
        groups[1].tpr.push_back(tpr - half);
    }
    return groups;
}

// A sample as predictions: models[model], units are lesions, the attributes are `group`, `other1`, `other2`, ... with
// values a, b, ...
inline Predictions predictions_of(const Sample& sample, size_t model = 0) {
    const auto value = [](int g) { return std::string(1, char('a' + g)); };
    Predictions p;
    for (int c = 0; c < sample.classes; ++c) p.classes.push_back("c" + std::to_string(100 + c));
    p.columns = {"group"};
    for (size_t a = 0; a < sample.others.size(); ++a) p.columns.push_back("other" + std::to_string(a + 1));
    p.attributes.resize(p.columns.size());
    for (size_t i = 0; i < sample.size(); ++i) {
        add_case(p, sample.truth[i], sample.models[model].pred[i]);
        p.unit.back() = "lesion" + std::to_string(sample.lesion[i]);
        p.attributes[0].push_back(value(sample.group[i]));
        for (size_t a = 0; a < sample.others.size(); ++a) p.attributes[a + 1].push_back(value(sample.others[a][i]));
    }
    p.prob = sample.models[model].prob;
    return p;
}

// The published ISIC 2019 test split by sex: MEL NV BCC AK BKL DF VASC SCC.
inline const std::vector<int> kIsicFemale = {392, 1267, 261, 75, 240, 24, 24, 29};
inline const std::vector<int> kIsicMale = {492, 1239, 408, 102, 290, 19, 25, 84};

}  // namespace fp::testing
