#include "bench/experiments/simulate/votes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "engine/fairness/compare.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"
#include "tests/fairness/truth.h"

namespace fp::simulate {
namespace {

using testing::Population;
using testing::Sample;
using testing::View;

constexpr int kTrueLesions = 100000;
constexpr uint64_t kTrueSeed = 987654321;

// Whether there is an interval, and whether that holds the truth.
void ask(std::vector<Vote>& votes, const std::string& figure, double low, double high, double truth) {
    votes.push_back({figure + ", given", Kind::share, kNotEstimable, double(!std::isnan(low))});
    if (std::isnan(low)) return;
    votes.push_back({figure, Kind::covers, .95, double(low <= truth + 1e-12 && truth <= high + 1e-12)});
}
void ask(std::vector<Vote>& votes, const Measure& m, double truth) { ask(votes, m.key, m.low, m.high, truth); }

EvaluateOptions options_of(const Setting& setting, int draw) {
    return {.resamples = setting.resamples, .seed = uint64_t(draw), .threads = 1};
}

using Truths = std::map<std::string, double>;
Truths metrics_of_truth(const Sample& sample, size_t model, bool probabilities) {
    const View view{sample, model};
    const testing::TrueRates rates = testing::rates_of(view);
    Truths t{{"accuracy", rates.accuracy},
             {"balanced_accuracy", testing::mean_of(rates.tpr)},
             {"macro_f1", testing::mean_of(rates.f1)}};
    if (!probabilities) return t;
    t["macro_auc"] = testing::macro_auc_of(view);
    t["ece"] = testing::ece_of(view);
    return t;
}

// Overall metrics, and the recalls of classes in groups by the number of lesions behind them.
std::vector<Row> metrics(const Setting& setting, int lesions) {
    const Population population = testing::two_of(testing::kAgeMix, {testing::fair(testing::kIsicRates, 2)});
    const Truths truths = metrics_of_truth(draw_lesions(population, kTrueLesions, kTrueSeed, true), 0, true);
    return count_votes("C", fmt::format("one model, {} lesions", lesions), setting.draws, [&](int draw) {
        const Sample sample = draw_lesions(population, lesions, 200000 + uint64_t(draw), true);
        const Report report = evaluate(testing::predictions_of(sample), {"group"}, options_of(setting, draw));
        std::vector<Vote> votes;
        for (const auto& [key, truth] : truths) ask(votes, report.metric(key), truth);
        std::set<std::array<int, 3>> cells;  // group, class, lesion
        for (size_t i = 0; i < sample.size(); ++i) cells.insert({sample.group[i], sample.truth[i], sample.lesion[i]});
        for (int g = 0; g < 2; ++g)
            for (int c = 0; c < sample.classes; ++c) {
                const auto n = std::ranges::count_if(cells, [&](const auto& v) { return v[0] == g && v[1] == c; });
                if (n == 0) continue;
                const char* size = n < 5 ? "below 5" : n < 10 ? "5 to 9" : n < 20 ? "10 to 19" : "20 or more";
                const Measure& recall =
                    report.attributes[0].group(std::string(1, char('a' + g))).classes[size_t(c)].tpr;
                ask(votes, fmt::format("recall, {} lesions", size), recall.low, recall.high,
                    testing::kIsicRates[size_t(c)]);
            }
        return votes;
    });
}

// The accuracy of the group that is worst, where all are alike.
std::vector<Row> worst_group(const Setting& setting, int groups) {
    const Population population{.group_share = testing::even(groups),
                                .mix = testing::GroupRates(size_t(groups), testing::kSexMix[0]),
                                .models = {testing::fair(testing::kIsicRates, groups)}};
    const double truth = testing::rates_of({draw_lesions(population, kTrueLesions, kTrueSeed)}).accuracy;
    return count_votes("C", fmt::format("{} equal groups, 600 lesions", groups), setting.draws, [&](int draw) {
        const Sample sample = draw_lesions(population, 600, 300000 + uint64_t(draw));
        const Report report = evaluate(testing::predictions_of(sample), {"group"}, options_of(setting, draw));
        std::vector<Vote> votes;
        const auto& worst = report.attributes[0].worst;
        const auto found = std::ranges::find(worst, "accuracy", [](const WorstGroup& w) { return w.measure.key; });
        ask(votes, "worst group's accuracy", found->measure.low, found->measure.high, truth);
        return votes;
    });
}

// The primary gap of a model with and without one.
std::vector<Row> size_of_gap(const Setting& setting, int groups, double gap) {
    const Population population{.group_share = testing::even(groups),
                                .mix = testing::GroupRates(size_t(groups), testing::kSexMix[0]),
                                .models = {testing::with_gap(.79, gap, groups)}};
    const auto rates = testing::rates_of_groups(draw_lesions(population, kTrueLesions, kTrueSeed), 0);
    return count_votes("C", fmt::format("{} groups, gap {:.1f}", groups, gap), setting.draws, [&](int draw) {
        const Sample sample = draw_lesions(population, 2000, 400000 + uint64_t(draw));
        const Report report = evaluate(testing::predictions_of(sample), {"group"}, options_of(setting, draw));
        const PrimaryGap& primary = report.attributes[0].primary;
        const double truth = gap == 0 ? 0 : testing::primary_square_of(rates, sample);
        std::vector<Vote> votes;
        ask(votes, "primary gap", primary.low, primary.high, std::sqrt(truth));
        votes.push_back({"primary gap, rms^2 less its truth, x 1000", Kind::share, kNotEstimable,
                         1000 * (primary.rms_squared - truth)});
        return votes;
    });
}

// Differences of metrics and FATE between two models.
std::vector<Row> differences(const Setting& setting, const char* name, double gap, double other) {
    const Population population =
        testing::two_of(testing::kSexMix, {testing::with_gap(.79, gap, 2), testing::with_gap(.79, other, 2)});
    const Sample large = draw_lesions(population, kTrueLesions, kTrueSeed);
    const Truths first = metrics_of_truth(large, 0, false), second = metrics_of_truth(large, 1, false);
    const auto groups = testing::rates_of_groups(large, 0), groups_b = testing::rates_of_groups(large, 1);
    const double eodd = testing::eodd_of(large, 0, 0, 1), eodd_b = testing::eodd_of(large, 1, 0, 1);
    const double fate = gap == other ? 0
                                     : (first.at("accuracy") - second.at("accuracy")) / second.at("accuracy") -
                                           (eodd - eodd_b) / eodd_b;
    return count_votes("C", name, setting.draws, [&](int draw) {
        const Sample sample = draw_lesions(population, 2000, 500000 + uint64_t(draw));
        const Comparison c = compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1), {"group"},
                                     options_of(setting, draw));
        std::vector<Vote> votes;
        for (const Difference& d : c.metrics)
            if (first.contains(d.key))
                ask(votes, "difference of " + d.key, d.low, d.high,
                    gap == other ? 0 : first.at(d.key) - second.at(d.key));
        const PrimaryDifference& primary = c.attributes[0].primary;
        const double change =
            gap == other ? 0
                         : testing::primary_square_of(groups, sample) - testing::primary_square_of(groups_b, sample);
        ask(votes, "difference of the primary gap", primary.low, primary.high, change);
        for (const Measure& m : c.attributes[0].fate)
            if (m.key == "fate_accuracy") ask(votes, m, fate);
        return votes;
    });
}

// The difference of two models' ECE.
std::vector<Row> ece_differences(const Setting& setting, const char* name, double tpr, double other, int lesions) {
    const Population population = testing::two_of(testing::kSexMix, {testing::fair(tpr, 2), testing::fair(other, 2)});
    const Sample large = draw_lesions(population, kTrueLesions, kTrueSeed, true);
    const double truth = tpr == other ? 0 : testing::ece_of({large, 0}) - testing::ece_of({large, 1});
    return count_votes("C", fmt::format("{}, {} lesions", name, lesions), setting.draws, [&](int draw) {
        const Sample sample = draw_lesions(population, lesions, 600000 + uint64_t(draw), true);
        const Comparison c = compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1), {},
                                     options_of(setting, draw));
        const Difference& ece = *std::ranges::find(c.metrics, "ece", &Difference::key);
        std::vector<Vote> votes;
        ask(votes, "difference of ece", ece.low, ece.high, truth);
        votes.push_back(
            {"difference of ece less its truth, x 1000", Kind::share, kNotEstimable, 1000 * (ece.value - truth)});
        return votes;
    });
}

// Five body sites, the last two with about 20 and 10 of 1,000 lesions, all of which take part.
std::vector<Row> tiny_groups(const Setting& setting, double gap, double other) {
    constexpr int kLesions = 1000, kEnough = 1000000;
    const Population population = testing::by_site({testing::with_gap(.79, gap, 5), testing::with_gap(.79, other, 5)});
    const Sample large = draw_lesions(population, kEnough, kTrueSeed);
    const auto first = testing::known_rates_of_groups(population, large, 0),
               second = testing::known_rates_of_groups(population, large, 1);
    std::vector<double> accuracy;
    for (int g = 0; g < 5; ++g) accuracy.push_back(testing::accuracy_of_group(population, g, 0));
    const std::string name = fmt::format("5 sites, two tiny, gap {:g}, other {:g}", gap, other);
    return count_votes("C", name, setting.draws, [&](int draw) {
        const Sample sample = draw_lesions(population, kLesions, 700000 + uint64_t(draw));
        EvaluateOptions options = options_of(setting, draw);
        options.min_group_size = 2;
        const Predictions ours = testing::predictions_of(sample, 0), theirs = testing::predictions_of(sample, 1);
        const AttributeReport sites = evaluate(ours, {"group"}, options).attributes[0];
        const PrimaryDifference d = compare(ours, theirs, {"group"}, options).attributes[0].primary;
        const double square = gap == 0 ? 0 : testing::primary_square_of(first, sample);
        std::vector<Vote> votes;
        for (int g = 0; g < 5; ++g) {
            const auto of = std::ranges::find(sites.groups, std::string(1, char('a' + g)), &GroupReport::name);
            if (of == sites.groups.end()) continue;
            const Measure& m = of->metric("accuracy");
            ask(votes, fmt::format("accuracy, a group of {:g} %", 100 * population.group_share[size_t(g)]), m.low,
                m.high, accuracy[size_t(g)]);
        }
        const auto worst =
            std::ranges::find(sites.worst, "accuracy", [](const WorstGroup& w) { return w.measure.key; });
        ask(votes, "worst group's accuracy", worst->measure.low, worst->measure.high, std::ranges::min(accuracy));
        ask(votes, "primary gap", sites.primary.low, sites.primary.high, std::sqrt(square));
        ask(votes, "difference of the primary gap", d.low, d.high,
            gap == other ? 0 : square - testing::primary_square_of(second, sample));
        return votes;
    });
}

}  // namespace

std::vector<Row> coverage(const Setting& setting) {
    std::vector<Row> rows;
    const auto add = [&](std::vector<Row> more) {
        for (Row& row : more) rows.push_back(std::move(row));
    };
    for (const int lesions : {120, 500}) add(metrics(setting, lesions));
    for (const int groups : {2, 3, 5}) add(worst_group(setting, groups));
    for (const int groups : {2, 4})
        for (const double gap : {0.0, .1, .2}) add(size_of_gap(setting, groups, gap));
    add(differences(setting, "two models alike", .1, .1));
    add(differences(setting, "two models, gap .2 to .1", .1, .2));
    for (const int lesions : {120, 500, 2000}) {
        add(ece_differences(setting, "two models alike", .79, .79, lesions));
        add(ece_differences(setting, "accuracy .88 and .70", .88, .70, lesions));
    }
    add(tiny_groups(setting, .1, .1));
    add(tiny_groups(setting, .1, .2));
    return rows;
}

}  // namespace fp::simulate
