#include "engine/fairness/rms_gap.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

namespace fp {
namespace {

constexpr int kFewestUnits = 2;

// Units with and without each class, by group.
struct ClassUnits {
    int classes;
    std::vector<std::set<int>> with;  // groups x classes
    std::vector<int> all;             // a group

    ClassUnits(const Predictions& p, const Cohort& cohort)
        : classes(int(p.classes.size())), with(size_t(cohort.size()) * classes) {
        std::vector<std::set<int>> of_group(cohort.size());
        for (int64_t i = 0; i < p.size(); ++i) {
            const int g = cohort.group_of_case[i], u = cohort.units.of_case[i];
            with[size_t(g) * classes + p.label[i]].insert(u);
            of_group[g].insert(u);
        }
        for (const auto& units : of_group) all.push_back(int(units.size()));
    }
    int positive(int g, int c) const { return int(with[size_t(g) * classes + c].size()); }
    // A unit of two diagnoses counts as with, not as without.
    int negative(int g, int c) const { return all[g] - positive(g, c); }

    bool enough(const Combination& part, int g, int c) const {
        return (part.tpr == 0 || positive(g, c) >= kFewestUnits) && (part.fpr == 0 || negative(g, c) >= kFewestUnits) &&
               (part.selected == 0 || all[g] >= kFewestUnits);
    }
};

}  // namespace

RmsGap rms_gap(const GapDefinition& gap,
               const Predictions& predictions,
               const Cohort& cohort,
               const FigureRows& seen,
               const FigureRows& resampled,
               int a,
               int b,
               int model) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    const auto nothing = [&](std::string reason) {
        return RmsGap{.square = {.value = kNan, .resampled = {}}, .classes = 0, .reason = std::move(reason)};
    };
    if (gap.maximum) return nothing("a maximum has no unbiased square");
    if (resampled.count == 0) return nothing("no resamples were asked for");

    struct Element {
        Combination part;
        int c;
    };
    std::vector<Element> elements;
    std::set<int> classes;
    if (gap.metric < 0) {
        const ClassUnits units(predictions, cohort);
        for (const Combination& part : gap.parts) {
            if (part.empty()) continue;
            for (int c = 0; c < seen.layout.classes; ++c) {
                if (!units.enough(part, a, c) || !units.enough(part, b, c)) continue;
                elements.push_back({part, c});
                classes.insert(c);
            }
        }
        if (elements.empty()) return nothing(fmt::format("no class with {} units in both groups", kFewestUnits));
    }
    const int first = model * cohort.size() + a, second = model * cohort.size() + b;
    const auto gaps_of = [&](const GroupFigures& figures, std::vector<double>& out) {
        if (gap.metric >= 0) out.push_back(figures.metric(first, gap.metric) - figures.metric(second, gap.metric));
        for (const Element& e : elements) out.push_back(e.part.of(figures, first, second, e.c));
    };
    std::vector<double> observed_gaps, resampled_gaps;
    gaps_of(seen.figures(0), observed_gaps);
    for (int64_t r = 0; r < resampled.count; ++r) gaps_of(resampled.figures(r), resampled_gaps);
    return {.square = mean_square(observed_gaps, resampled_gaps), .classes = int(classes.size()), .reason = ""};
}

}  // namespace fp
