#include "bench/experiments/simulate/votes.h"

#include <algorithm>
#include <cmath>

#include "engine/fairness/verdict.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"

namespace fp::simulate {
namespace {

// A model that depends on the diagnosis alone: whether the primary gap is called one, for every other gap whether its
// test and its fair range call it unfair, and whether the verdict speaks of any.
std::vector<Vote> judge(const testing::Scenario& scenario, const Setting& setting, int draw) {
    const testing::Sample sample = draw_lesions(scenario.population, scenario.lesions, uint64_t(draw), true);
    const Predictions p = testing::predictions_of(sample);
    const Report report =
        evaluate(p, p.columns, {.resamples = setting.resamples, .seed = uint64_t(draw), .threads = 1});
    std::vector<Vote> votes;
    const PrimaryGap& primary = report.attributes[0].primary;
    votes.push_back({"primary gap, p", Kind::false_alarms, .05, double(primary.p <= .05)});
    votes.push_back({"primary gap, beyond fair", Kind::false_alarms, .05, double(primary.rms > primary.fair_high)});
    for (const Gap& gap : report.attributes[0].gaps) {
        if (std::isnan(gap.p)) continue;
        votes.push_back({gap.key + ", p", Kind::false_alarms, .05, double(gap.p <= .05)});
        votes.push_back({gap.key + ", beyond fair", Kind::false_alarms, .05, double(gap.beyond_fair())});
    }
    const Verdict verdict = verdict_of(report, nullptr);
    const bool speaks =
        std::ranges::any_of(verdict.findings, [](const Finding& f) { return f.kind == FindingKind::gap; });
    votes.push_back({"verdict: gap", Kind::false_alarms, .05, double(speaks)});
    return votes;
}

}  // namespace

std::vector<Row> one_model(const Setting& setting) {
    std::vector<Row> rows;
    for (const testing::Scenario& s : testing::fair_models())
        for (Row& row : count_votes("A", s.name, setting.draws, [&](int draw) { return judge(s, setting, draw); }))
            rows.push_back(std::move(row));
    return rows;
}

}  // namespace fp::simulate
