// Classifiers of known rates on images of skin lesions, for simulations: what a statistic says of them can be held to
// the truth. Nothing of the engine takes part in it but its random numbers.
//
// A lesion has a group, and a diagnosis by the case mix of its group. Model m recognises an image of it where
//
//   z < quantile(tpr[m][group][diagnosis]),   z = sqrt(lesion) u + sqrt(1 - lesion) e,   standard normal
//
// u is the lesion's, e the image's, so that images of a lesion are alike. Both are shared between the models to the
// share `common` of their variance, so that models err on the same images. The margin quantile(tpr) - z gives the top
// probability. A model is fair where its tpr does not depend on the group: all that it does, its probabilities among
// them, then depends on the diagnosis alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/random.h"

namespace fp::testing {

using Rates = std::vector<double>;
using GroupRates = std::vector<Rates>;  // [group][class]

struct Classifier {
    GroupRates tpr;
    double drift = 0;  // the share of the misses that are called `Population::majority`
};

struct Population {
    Rates group_share;
    GroupRates mix;  // shares of the diagnoses in each group
    std::vector<Classifier> models;
    int majority = 1;
    double lesion = .5, common = .6;
    Rates images{.6, .2, .12, .08};  // the shares of lesions with 1, 2, ... images
    std::vector<int> others = {};    // numbers of groups of further attributes, on which nothing depends

    int groups() const { return int(mix.size()); }
    int classes() const { return int(mix[0].size()); }
    // The share of a diagnosis over all groups.
    double share(int c) const {
        double sum = 0;
        for (int g = 0; g < groups(); ++g) sum += group_share[size_t(g)] * mix[size_t(g)][size_t(c)];
        return sum;
    }
};

struct Sample {
    struct Answers {
        std::vector<int> pred;
        std::vector<double> prob;  // image x class; empty where none was asked for
    };
    int groups = 0, classes = 0;
    std::vector<int> lesion, truth, group;  // of each image
    std::vector<std::vector<int>> others;   // [attribute][image]
    std::vector<Answers> models;

    size_t size() const { return truth.size(); }
};

inline double normal_quantile(double p) {
    double low = -9, high = 9;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (std::erfc(-middle / std::numbers::sqrt2) / 2 < p ? low : high) = middle;
    }
    return low;
}

// Random numbers of one sample, in order.
class Chance {
public:
    explicit Chance(uint64_t seed) : key_(key_of(seed, 0x1e5u)) {}
    double uniform() { return uniform_double(key_, index_++); }
    double normal() {
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(2 * std::numbers::pi * uniform());
    }
    // An index with the chance of its weight.
    int choose(const Rates& weights) {
        double left = uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
        int i = 0;
        for (; i + 1 < int(weights.size()); ++i)
            if ((left -= weights[size_t(i)]) < 0) break;
        return i;
    }

private:
    uint64_t key_, index_ = 0;
};

class LesionStream {
public:
    LesionStream(const Population& population, uint64_t seed, bool probabilities)
        : p_(population), chance_(seed), with_prob_(probabilities) {
        for (int c = 0; c < p_.classes(); ++c) confusion_.push_back(std::sqrt(p_.share(c)));
        for (const Classifier& m : p_.models) {
            auto& of_model = threshold_.emplace_back();
            for (const Rates& group : m.tpr) {
                of_model.emplace_back();
                for (double t : group) of_model.back().push_back(normal_quantile(t));
            }
        }
        out_.groups = p_.groups();
        out_.classes = p_.classes();
        out_.models.resize(p_.models.size());
        out_.others.resize(p_.others.size());
    }

    Sample draw(int lesions) {
        for (int i = 0; i < lesions; ++i) add_lesion(i);
        return std::move(out_);
    }

private:
    // The class that model m takes a lesion for where it misses it.
    int mistaken(size_t m, int truth) {
        if (truth != p_.majority && chance_.uniform() < p_.models[m].drift) return p_.majority;
        Rates weights = confusion_;
        weights[size_t(truth)] = 0;
        return chance_.choose(weights);
    }

    // The top probability rises with the margin; of the rest, a missed truth has 60 %, the other classes draw theirs.
    void add_probabilities(Sample::Answers& answers, int pred, int truth, double margin) {
        const double top = .5 + .48 * (1 - std::exp(-.9 * std::abs(margin)));
        const double missed = pred == truth ? 0 : .6 * (1 - top);
        Rates prob(size_t(out_.classes));
        double sum = 0;
        for (int c = 0; c < out_.classes; ++c) {
            const double drawn = confusion_[size_t(c)] * std::exp(chance_.normal());
            if (c != pred && !(c == truth)) sum += prob[size_t(c)] = drawn;
        }
        for (double& v : prob) v *= (1 - top - missed) / sum;
        prob[size_t(truth)] = missed;
        prob[size_t(pred)] = top;
        answers.prob.insert(answers.prob.end(), prob.begin(), prob.end());
    }

    void add_lesion(int lesion) {
        const int g = chance_.choose(p_.group_share), truth = chance_.choose(p_.mix[size_t(g)]);
        const int images = 1 + chance_.choose(p_.images);
        const double shared = std::sqrt(p_.common), own = std::sqrt(1 - p_.common);
        const double together = chance_.normal();
        std::vector<double> of_lesion;
        std::vector<int> wrong;
        for (size_t m = 0; m < p_.models.size(); ++m) {
            of_lesion.push_back(std::sqrt(p_.lesion) * (shared * together + own * chance_.normal()));
            wrong.push_back(mistaken(m, truth));
        }
        const size_t first = out_.size();
        for (int i = 0; i < images; ++i) {
            out_.lesion.push_back(lesion);
            out_.truth.push_back(truth);
            out_.group.push_back(g);
            const double of_image = chance_.normal();
            for (size_t m = 0; m < p_.models.size(); ++m) {
                const double e = shared * of_image + own * chance_.normal();
                const double margin =
                    threshold_[m][size_t(g)][size_t(truth)] - of_lesion[m] - std::sqrt(1 - p_.lesion) * e;
                Sample::Answers& answers = out_.models[m];
                answers.pred.push_back(margin > 0 ? truth : wrong[m]);
                if (with_prob_) add_probabilities(answers, answers.pred.back(), truth, margin);
            }
        }
        for (size_t a = 0; a < p_.others.size(); ++a)
            out_.others[a].insert(out_.others[a].end(), out_.size() - first, int(chance_.uniform() * p_.others[a]));
    }

    const Population& p_;
    Chance chance_;
    bool with_prob_;
    Rates confusion_;                         // relative chances of being the class that another is taken for
    std::vector<GroupRates> threshold_ = {};  // [model][group][class]
    Sample out_ = {};
};

inline Sample draw_lesions(const Population& population, int lesions, uint64_t seed, bool probabilities = false) {
    return LesionStream(population, seed, probabilities).draw(lesions);
}

}  // namespace fp::testing
