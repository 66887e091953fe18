#include "engine/fairness/threshold.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "engine/fairness/metrics.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

using Kind = ThresholdRule::Kind;
constexpr std::array kKindNames{"fixed", "f1", "youden", "specificity"};

struct Case {
    double probability;
    bool positive;
};

// Highest probability first.
std::vector<Case> ranked(const Predictions& p, int positive) {
    std::vector<Case> out;
    for (int64_t i = 0; i < p.size(); ++i) out.push_back({p.row(i)[positive], p.label[size_t(i)] == positive});
    std::ranges::sort(out, std::greater(), &Case::probability);
    return out;
}

int class_index(const Predictions& p, const std::string& positive) {
    FP_REQUIRE(p.has_probabilities(), Exit::data,
               "a threshold needs the probabilities of the classes; there are predictions alone");
    return operating_point(p.classes, positive, 0).positive;
}

// Larger is better; below 0 where the rule does not allow it.
double merit(const ThresholdRule& rule, const Threshold::Validation& t) {
    if (rule.kind == Kind::f1) return t.f1;
    if (rule.kind == Kind::youden) return t.sensitivity + t.specificity - 1;
    return t.specificity >= rule.value - 1e-12 ? t.sensitivity : -1;
}

}  // namespace

ThresholdRule parse_threshold(const std::string& text, double specificity) {
    for (const Kind kind : {Kind::f1, Kind::youden, Kind::specificity})
        if (text == kKindNames[size_t(kind)]) return {.kind = kind, .value = specificity};
    const auto value = parse_number(text);
    FP_REQUIRE(value && *value >= 0 && *value <= 1, Exit::usage, "threshold `", text,
               "` is not f1, youden, specificity, stored or a probability");
    return {.kind = Kind::fixed, .value = *value};
}

std::string to_string(const ThresholdRule& rule) {
    return rule.kind == Kind::specificity ? text("specificity of at least ", rule.value)
                                          : kKindNames[size_t(rule.kind)];
}

Threshold choose_threshold(const Predictions& validation, const std::string& positive, const ThresholdRule& rule) {
    const std::vector<Case> cases = ranked(validation, class_index(validation, positive));
    const double positives = double(std::ranges::count(cases, true, &Case::positive));
    const double negatives = double(cases.size()) - positives;
    FP_REQUIRE(positives > 0 && negatives > 0, Exit::data, "a threshold for ", positive, ": ", int64_t(positives),
               " images of the class and ", int64_t(negatives), " of others to choose it on");
    double hits = 0, alarms = 0;  // cases predicted positive: truly positive ones and others
    const auto result = [&] {
        return Threshold::Validation{.images = int64_t(cases.size()),
                                     .positives = int64_t(positives),
                                     .sensitivity = hits / positives,
                                     .specificity = 1 - alarms / negatives,
                                     .f1 = 2 * hits / (hits + alarms + positives)};
    };
    Threshold best{.positive = positive, .rule = to_string(rule), .value = rule.value};
    if (rule.kind == Kind::fixed) {
        for (const Case& c : cases)
            if (c.probability >= rule.value) ++(c.positive ? hits : alarms);
        best.chosen_on = result();
        return best;
    }
    double best_merit = -std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < cases.size(); ++i) {
        ++(cases[i].positive ? hits : alarms);
        const bool last = i + 1 == cases.size();
        if (!last && cases[i + 1].probability == cases[i].probability) continue;
        const double found = merit(rule, result());
        if (!(found > best_merit)) continue;
        best.value = last ? 0 : (cases[i].probability + cases[i + 1].probability) / 2;
        best.chosen_on = result();
        best_merit = found;
    }
    FP_REQUIRE(best_merit >= 0 || rule.kind == Kind::youden, Exit::data, "a threshold for ", positive,
               ": none that predicts an image positive has ", best.rule);
    return best;
}

Predictions at_threshold(const Predictions& p, const std::string& positive, double threshold) {
    const int c = class_index(p, positive);
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
    const auto both = std::ranges::count_if(judged_on.image, [&](const auto& i) { return images.contains(i); });
    FP_REQUIRE(both == 0, Exit::data, "a threshold is chosen on other images than it is judged on; ", both,
               " are in both");
}

}  // namespace fp
