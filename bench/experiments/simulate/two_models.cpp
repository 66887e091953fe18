#include "bench/experiments/simulate/votes.h"

#include <algorithm>

#include "engine/fairness/verdict.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"

namespace fp::simulate {
namespace {

// What is claimed of the first of two models: that its gap differs, and that it is smaller.
std::vector<Vote> judge(const testing::Scenario& scenario, Kind kind, const Setting& setting, int draw) {
    const testing::Sample sample = draw_lesions(scenario.population, scenario.lesions, 100000 + uint64_t(draw));
    const Predictions model = testing::predictions_of(sample, 0), other = testing::predictions_of(sample, 1);
    const EvaluateOptions options{.resamples = setting.resamples, .seed = uint64_t(draw), .threads = 1};
    const Comparison comparison = compare(model, other, {"group"}, options);
    const Verdict verdict = verdict_of(evaluate(model, {"group"}, {.resamples = 0}), &comparison);
    const auto speaks = [&](FindingKind finding) {
        return std::ranges::any_of(verdict.findings, [&](const Finding& f) { return f.kind == finding; });
    };
    const PrimaryDifference& d = comparison.attributes[0].primary;
    const double nominal = kind == Kind::false_alarms ? .05 : kNotEstimable;
    std::vector<Vote> votes;
    const auto ask = [&](const char* figure, bool claimed, Kind k) {
        votes.push_back({figure, k, nominal, double(claimed)});
    };
    ask("primary gap, p", d.p <= .05, kind);
    ask("primary gap, p, and smaller", d.p <= .05 && d.value < 0, Kind::share);
    ask("verdict: gap shrank or grew", speaks(FindingKind::gap_shrank) || speaks(FindingKind::gap_grew), kind);
    ask("verdict: gap shrank", speaks(FindingKind::gap_shrank), Kind::share);
    ask("verdict: levelled down", speaks(FindingKind::levelled_down), Kind::share);
    return votes;
}

}  // namespace

std::vector<Row> two_models(const Setting& setting) {
    std::vector<Row> rows;
    const auto run = [&](const std::vector<testing::Scenario>& scenarios, Kind kind) {
        for (const testing::Scenario& s : scenarios)
            for (Row& row :
                 count_votes("B", s.name, setting.draws, [&](int draw) { return judge(s, kind, setting, draw); }))
                rows.push_back(std::move(row));
    };
    run(testing::equally_fair(), Kind::false_alarms);
    run(testing::fairer(), Kind::power);
    return rows;
}

}  // namespace fp::simulate
