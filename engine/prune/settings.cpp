#include "engine/prune/settings.h"

#include <cstdlib>
#include <limits>

#include "engine/fairness/grouping.h"
#include "engine/train/selection.h"

namespace fp {
namespace {

using Definition = SnnlShape::Definition;

// "a+b+c" as its words.
std::vector<std::string> words_of(const std::string& text) {
    std::vector<std::string> out;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find('+', at), text.size());
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

// The value of "name=value" where the word has this name.
std::optional<std::string> value_of(const std::string& word, const std::string& name) {
    if (!word.starts_with(name + "=")) return std::nullopt;
    return word.substr(name.size() + 1);
}

void apply(PruneSettings& p, const std::string& word, const std::string& text) {
    const auto number = [&](const std::string& digits) {
        char* rest = nullptr;
        const double value = std::strtod(digits.c_str(), &rest);
        FP_REQUIRE(!digits.empty() && *rest == 0 && value >= 0, Exit::usage, "criterion `", text, "`: ", word,
                   " has no number");
        return value;
    };
    if (word == "exact") {
        p.snnl.definition = Definition::exact;
    } else if (word == "as-released") {
        p.snnl.definition = Definition::as_released;
    } else if (word == "given-class") {
        p.snnl.given_class = true;
    } else if (word == "centre") {
        p.snnl.centred = true;
    } else if (word == "euclidean") {
        p.snnl.distance = SnnlShape::Distance::euclidean;
    } else if (word == "mask") {
        p.mask = true;
    } else if (const auto tap = value_of(word, "tap")) {
        p.tap = parse_tap(*tap);
    } else if (const auto layers = value_of(word, "layers")) {
        p.layers = *layers;
    } else if (const auto lambda = value_of(word, "protect")) {
        p.protect = number(*lambda);
    } else if (const auto temperature = value_of(word, "temperature")) {
        p.snnl.temperature = number(*temperature);
        FP_REQUIRE(p.snnl.temperature > 0, Exit::usage, "criterion `", text, "`: ", word);
    } else if (const auto samples = value_of(word, "samples")) {
        p.samples = int64_t(number(*samples));
    } else if (const auto eta = value_of(word, "learn")) {
        p.learn_weights = number(*eta);
    } else {
        fail_with(Exit::usage, "criterion `", text, "`: `", word,
                  "` is not exact, as-released, given-class, centre, euclidean, mask, tap=, "
                  "layers=, protect=, temperature=, samples= or learn=");
    }
}

}  // namespace

PruneSettings with_criterion(PruneSettings p, const std::string& text) {
    const std::vector<std::string> words = words_of(text);
    p.criterion = words[0];
    for (size_t i = 1; i < words.size(); ++i) apply(p, words[i], text);
    return p;
}

void check(const PruneSettings& p) {
    parse_amount(p.amount);
    FP_REQUIRE(p.finetune == "all" || p.finetune == "head" || p.finetune == "norm", Exit::usage, "--finetune `",
               p.finetune, "` is not all, head or norm");
    if (p.criterion != kNoCriterion) check_scoring(score_options(p));
}

void check_objective(const PruneSettings& p, const ImageData& data) {
    if (p.objective.empty()) return;
    Predictions blind = no_predictions(data);
    const size_t classes = data.set.classes.size();
    const std::vector<float> even(classes, 1 / float(classes));
    for (const int64_t s : members(data.set, Split::val)) add_prediction(blind, data, s, even.data());
    try {
        selection_value(blind, p.objective, plain_names(p.attributes));
    } catch (const Error& error) {
        const std::string said = error.what(), option = "--select";
        if (error.exit != Exit::usage || !said.starts_with(option)) throw;
        fail_with(Exit::usage, "--objective", said.substr(option.size()));
    }
}

ScoreOptions score_options(const PruneSettings& p) {
    ScoreOptions out{.criterion = p.criterion,
                     .attributes = weighted_attributes(p.attributes),
                     .snnl = p.snnl,
                     .tap = p.tap,
                     .layers = p.layers,
                     .samples = p.samples,
                     .protect = p.protect,
                     .fairprune = p.fairprune,
                     .seed = p.seed,
                     .predict = {.batch_size = p.batch_size, .workers = p.tune.workers, .skip_bad = p.tune.skip_bad}};
    out.snnl.block = p.batches;
    std::erase_if(out.attributes, [](const auto& a) { return a.second == 0; });
    return out;
}

ChooseOptions choose_options(const PruneSettings& p) {
    return {.amount = parse_amount(p.amount), .min_channels = p.min_channels, .round_to = p.round_to};
}

std::string objective_of(const PruneSettings& p) {
    if (!p.objective.empty()) return p.objective;
    return p.attributes.empty() ? "balanced_accuracy" : "rms:" + plain_names(p.attributes)[0];
}

double least_accuracy(double dense_accuracy, int classes, double max_drop) {
    const double chance = 1.0 / classes;
    if (!(dense_accuracy > chance)) return std::numeric_limits<double>::infinity();
    return std::max(dense_accuracy - max_drop, (chance + dense_accuracy) / 2);
}

}  // namespace fp
