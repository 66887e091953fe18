#include "engine/prune/sweep_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "engine/fairness/intervals.h"

namespace fp {

std::string random_control(const std::string& amount) { return "random " + amount + ", tuned alike"; }

std::vector<SweepPoint> sweep_points(const SweepSettings& s) {
    const auto listed = [&](const std::string& text, const char* option) {
        return s.sweep ? split_list(text, ',', option) : std::vector<std::string>{text};
    };
    const std::vector<std::string> amounts = listed(s.amount, "--amount"),
                                   criteria = listed(s.criterion, "--criterion");
    std::vector<SweepPoint> out;
    std::set<std::string> seen;
    const auto add = [&](const std::string& name, const std::string& criterion, const std::string& amount,
                         bool control) {
        FP_REQUIRE(seen.insert(name).second, Exit::usage, "--sweep: ", name, " is there twice");
        out.push_back(
            {.name = name, .criterion = criterion, .settings = with_criterion(s.base, criterion), .control = control});
        ChooseOptions& choose = out.back().settings.choose;
        choose.amount = amount;
        if (s.sweep || s.controls) choose.round_to = choose.round_to.value_or(1);  // compared at equal amounts
    };
    if (s.controls) add(kDenseControl, "none", amounts[0], true);
    for (const std::string& amount : amounts) {
        if (s.controls) add(random_control(amount), "random", amount, true);
        for (const std::string& criterion : criteria) {
            const bool is_control = s.controls && (criterion == "none" || criterion == "random"),
                       repeats =
                           criterion == "none" && amount != amounts[0];  // it removes nothing, whatever the amount
            if (!is_control && !repeats) add(criterion + " " + amount, criterion, amount, false);
        }
    }
    const auto reads_groups = [](const SweepPoint& p) { return placebo_note(p.settings).has_value(); };
    FP_REQUIRE(!s.base.tune.placebo || std::ranges::any_of(out, reads_groups), Exit::usage,
               "--placebo: nothing in this run reads groups of an --attribute");
    FP_REQUIRE(std::ranges::any_of(out, [](const SweepPoint& p) { return !p.control; }), Exit::usage, "--criterion ",
               s.criterion, ": --controls has that already, name another criterion");
    return out;
}

std::filesystem::path run_path(const SweepPoint& point, uint64_t seed) {
    std::string name;
    for (const char c : point.name) {
        if (c == '%')
            name += "pct";
        else if (std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '.' || c == '=')
            name += c;
        else if (!name.empty() && name.back() != '-')
            name += '-';
    }
    return std::filesystem::path("runs") / fmt::format("{}-seed{}", name, seed);
}

int select_point(const std::vector<SweepFigures>& points, double least_accuracy) {
    int best = -1;
    double best_objective = 0;
    for (size_t i = 0; i < points.size(); ++i) {
        const SeedSummary accuracy = summarize_seeds(points[i].accuracy),
                          objective = summarize_seeds(points[i].objective);
        if (points[i].control || !(accuracy.mean >= least_accuracy) || std::isnan(objective.mean)) continue;
        if (best >= 0 && objective.mean <= best_objective) continue;
        best = int(i);
        best_objective = objective.mean;
    }
    return best;
}

std::string selection_rule(const std::string& objective, double max_drop, int seeds) {
    return fmt::format(
        "On validation, {}of the runs whose balanced accuracy is within {} of the dense model's "
        "and at least half as far above chance (1/classes), the one of the best {}; controls are "
        "not chosen, and nothing is where the dense model is at chance. The test split was read "
        "after the choice.",
        seeds > 1 ? fmt::format("by means over {} tunings of one network, ", seeds) : "", max_drop, objective);
}

}  // namespace fp
