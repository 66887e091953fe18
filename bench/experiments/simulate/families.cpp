#include "bench/experiments/simulate/votes.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/fairness/compare.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"

namespace fp::simulate {
namespace {

EvaluateOptions options_of(const Setting& setting, int draw) {
    return {.resamples = setting.resamples, .seed = uint64_t(draw), .threads = 1};
}

// Fair in every attribute: does any test hold after correction? And with a gap in the first: is that found?
std::vector<Row> attributes(const Setting& setting, int count, double gap) {
    testing::Population population = testing::two_of(testing::kSexMix, {testing::with_gap(.79, gap, 2)});
    for (int a = 1; a < count; ++a) population.others.push_back(a % 2 ? 2 : 3);
    const Kind kind = gap == 0 ? Kind::false_alarms : Kind::power;
    const std::string name = fmt::format("{} attribute{}, gap {}", count, count == 1 ? "" : "s", gap);
    return count_votes("D", name, setting.draws, [&, kind](int draw) -> std::vector<Vote> {
        const Predictions p = testing::predictions_of(draw_lesions(population, 1500, 600000 + uint64_t(draw)));
        const Report report = evaluate(p, p.columns, options_of(setting, draw));
        bool claimed = false;
        for (const AttributeReport& a : report.attributes) claimed |= a.primary.p_holm <= .05;
        return {{"any primary gap after correction", kind, .05, double(claimed)}};
    });
}

// The first model's TPR of every class is lower than the other's by `loss`.
std::vector<Row> losses(const Setting& setting, double loss) {
    const testing::Population population =
        testing::two_of(testing::kSexMix, {testing::fair(.79 - loss, 2), testing::fair(.79, 2)});
    const std::string name = fmt::format("a loss of {}", loss);
    return count_votes("D", name, setting.draws, [&](int draw) {
        const testing::Sample sample = draw_lesions(population, 2500, 700000 + uint64_t(draw));
        const Comparison c = compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1), {"group"},
                                     options_of(setting, draw));
        std::vector<Vote> votes;
        for (const char* key : {"accuracy", "balanced_accuracy"}) {
            const Harm found = std::ranges::find(c.metrics, key, &Difference::key)->harm;
            const bool at_margin = loss >= c.options.margin;
            votes.push_back({fmt::format("{} not worse by the margin", key),
                             at_margin ? Kind::false_alarms : Kind::power, at_margin ? .025 : kNotEstimable,
                             double(found == Harm::within_margin || found == Harm::better)});
            votes.push_back({fmt::format("{} worse", key), loss == 0 ? Kind::false_alarms : Kind::power,
                             loss == 0 ? .025 : kNotEstimable, double(found == Harm::worse)});
        }
        return votes;
    });
}

}  // namespace

std::vector<Row> families(const Setting& setting) {
    std::vector<Row> rows;
    const auto add = [&](std::vector<Row> more) {
        for (Row& row : more) rows.push_back(std::move(row));
    };
    for (const double gap : {0.0, .15})
        for (const int count : {1, 3, 6}) add(attributes(setting, count, gap));
    for (const double loss : {0.0, .02, .06}) add(losses(setting, loss));
    return rows;
}

}  // namespace fp::simulate
