#include "engine/fairness/threshold.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "engine/fairness/metrics.h"
#include "kernels/error.h"

namespace fp {
namespace {

using Kind = ThresholdRule::Kind;

struct Case {
    double probability;
    bool positive;
};

// Highest probability first.
std::vector<Case> ranked(const Predictions& p, int positive) {
    std::vector<Case> out;
    for (int64_t i = 0; i < p.size(); ++i) out.push_back({p.row(i)[positive], p.label[size_t(i)] == positive});
    std::sort(out.begin(), out.end(), [](const Case& a, const Case& b) { return a.probability > b.probability; });
    return out;
}

int index_of(const Predictions& p, const std::string& positive) {
    FP_REQUIRE(p.has_probabilities(), Exit::data,
               "a threshold needs the probabilities of the classes; there are predictions alone");
    return operating_point(p, positive, 0).positive;
}

// Larger is better; below 0 where the rule does not allow it.
double merit(const ThresholdRule& rule, const Threshold& t) {
    switch (rule.kind) {
        case Kind::fixed:
            return 0;
        case Kind::f1:
            return t.f1;
        case Kind::youden:
            return t.sensitivity + t.specificity - 1;
        case Kind::specificity:
            return t.specificity >= rule.value - 1e-12 ? t.sensitivity : -1;
    }
    return 0;
}

}  // namespace

ThresholdRule parse_threshold(const std::string& text, double specificity) {
    if (text == "f1") return {.kind = Kind::f1, .value = 0};
    if (text == "youden") return {.kind = Kind::youden, .value = 0};
    if (text == "specificity") return {.kind = Kind::specificity, .value = specificity};
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    FP_REQUIRE(!text.empty() && *end == 0 && value >= 0 && value <= 1, Exit::usage, "threshold `", text,
               "` is not f1, youden, specificity, stored or a probability");
    return {.kind = Kind::fixed, .value = value};
}

std::string to_string(const ThresholdRule& rule) {
    switch (rule.kind) {
        case Kind::fixed:
            return "fixed";
        case Kind::f1:
            return "f1";
        case Kind::youden:
            return "youden";
        case Kind::specificity:
            return text("specificity of at least ", rule.value);
    }
    return "";
}

Threshold choose_threshold(const Predictions& validation, const std::string& positive, const ThresholdRule& rule) {
    const std::vector<Case> cases = ranked(validation, index_of(validation, positive));
    const double positives =
        double(std::count_if(cases.begin(), cases.end(), [](const Case& c) { return c.positive; }));
    const double negatives = double(cases.size()) - positives;
    FP_REQUIRE(positives > 0 && negatives > 0, Exit::data, "a threshold for ", positive, ": ", int64_t(positives),
               " images of the class and ", int64_t(negatives), " of others to choose it on");
    Threshold best;
    double best_merit = -std::numeric_limits<double>::infinity();
    double hits = 0, alarms = 0;
    const auto offer = [&](double value) {
        const Threshold t{.value = value,
                          .images = int64_t(cases.size()),
                          .positives = int64_t(positives),
                          .sensitivity = hits / positives,
                          .specificity = 1 - alarms / negatives,
                          .f1 = 2 * hits / (hits + alarms + positives)};
        if (!(merit(rule, t) > best_merit)) return;
        best = t;
        best_merit = merit(rule, t);
    };
    for (size_t i = 0; i < cases.size(); ++i) {
        if (rule.kind == Kind::fixed && cases[i].probability < rule.value) break;
        (cases[i].positive ? hits : alarms) += 1;
        const bool last = i + 1 == cases.size();
        if (rule.kind == Kind::fixed || (!last && cases[i + 1].probability == cases[i].probability)) continue;
        offer(last ? 0 : (cases[i].probability + cases[i + 1].probability) / 2);
    }
    if (rule.kind == Kind::fixed) offer(rule.value);
    FP_REQUIRE(best_merit >= 0 || rule.kind == Kind::youden, Exit::data, "a threshold for ", positive,
               ": none that calls anything has ", to_string(rule));
    return best;
}

Predictions at_threshold(const Predictions& p, const std::string& positive, double threshold) {
    const int c = index_of(p, positive);
    Predictions out = p;
    out.classes = {"not " + positive, positive};
    out.prob.clear();
    for (int64_t i = 0; i < p.size(); ++i) {
        out.label[size_t(i)] = p.label[size_t(i)] == c;
        out.pred[size_t(i)] = p.row(i)[c] >= threshold;
    }
    return out;
}

void require_apart(const Predictions& chosen_on, const Predictions& judged_on) {
    const std::set<std::string> images(chosen_on.image.begin(), chosen_on.image.end());
    const auto both = std::count_if(judged_on.image.begin(), judged_on.image.end(),
                                    [&](const std::string& i) { return images.contains(i); });
    FP_REQUIRE(both == 0, Exit::data, "a threshold is chosen on other images than it is judged on; ", both,
               " are in both");
}

}  // namespace fp
