#include "engine/prune/settings.h"

#include <cmath>
#include <limits>

#include "engine/data/augment/augment.h"
#include "engine/fairness/grouping.h"
#include "engine/io/columns.h"

namespace fp {
namespace {

using Definition = SnnlShape::Definition;

// A word of a criterion's text; a name that ends in = has a value behind it.
struct Word {
    std::string_view name;
    void (*apply)(PruneSettings&, const std::string& value);
    std::string_view criterion = {};  // the only one that reads it; empty: any
};

double number(const std::string& digits) {
    const std::optional<double> value = parse_number(digits);
    FP_REQUIRE(value && *value >= 0, Exit::usage, "is not a number of at least 0");
    return *value;
}

int64_t whole_number(const std::string& digits, const char* of) {
    const double count = number(digits);
    FP_REQUIRE(count == std::floor(count) && count < 1e15, Exit::usage, "is not a whole number of ", of);
    return int64_t(count);
}

constexpr Word kWords[]{
    {"exact", [](PruneSettings& p, const std::string&) { p.score.snnl.definition = Definition::exact; }},
    {"as-released", [](PruneSettings& p, const std::string&) { p.score.snnl.definition = Definition::as_released; }},
    {"given-class", [](PruneSettings& p, const std::string&) { p.score.snnl.given_class = true; }},
    {"centre", [](PruneSettings& p, const std::string&) { p.score.snnl.centred = true; }},
    {"euclidean", [](PruneSettings& p, const std::string&) { p.score.snnl.distance = SnnlShape::Distance::euclidean; }},
    {"mask", [](PruneSettings& p, const std::string&) { p.mask = true; }},
    {"tap=", [](PruneSettings& p, const std::string& name) { p.score.tap = parse_tap(name); }},
    {"layers=", [](PruneSettings& p, const std::string& pattern) { p.score.layers = pattern; }},
    {"protect=", [](PruneSettings& p, const std::string& lambda) { p.score.protect = number(lambda); }},
    {"temperature=",
     [](PruneSettings& p, const std::string& t) {
         p.score.snnl.temperature = number(t);
         FP_REQUIRE(p.score.snnl.temperature > 0, Exit::usage, "is not above 0");
     }},
    {"samples=", [](PruneSettings& p, const std::string& n) { p.score.samples = whole_number(n, "images"); }},
    {"placebo", [](PruneSettings& p, const std::string&) { p.placebo_scores = true; }},
    {"learn=", [](PruneSettings& p, const std::string& eta) { p.learn_weights = number(eta); }},
    {"snnl=", [](PruneSettings& p, const std::string& weight) { p.score.masks.snnl_weight = number(weight); }, "masks"},
    {"sparsity=", [](PruneSettings& p, const std::string& weight) { p.score.masks.sparsity = number(weight); },
     "masks"},
    {"cost=", [](PruneSettings& p, const std::string& name) { p.score.masks.cost = name; }, "masks"},
    {"epochs=",
     [](PruneSettings& p, const std::string& n) {
         const int64_t epochs = whole_number(n, "epochs");
         FP_REQUIRE(epochs >= 1 && epochs <= 10000, Exit::usage, "is not in 1 .. 10000");
         p.score.masks.epochs = int(epochs);
     },
     "masks"},
    {"rate=", [](PruneSettings& p, const std::string& rate) { p.score.masks.rate = number(rate); }, "masks"},
    {"sampler=", [](PruneSettings& p, const std::string& name) { p.score.masks.sampler = name; }, "masks"},
    {"augment=",
     [](PruneSettings& p, const std::string& words) {
         parse_augment(words);
         p.score.masks.augment = words;
     },
     "masks"},
};

void apply(PruneSettings& p, const std::string& word, const std::string& criterion) {
    std::string known;
    for (const auto& [name, apply_value, reader] : kWords) {
        if (!reader.empty() && reader != p.score.criterion->name) continue;
        known += (known.empty() ? "" : ", ") + std::string(name);
        if (name.ends_with('=') ? !word.starts_with(name) : word != name) continue;
        try {
            return apply_value(p, word.substr(name.size()));
        } catch (const Error& e) {
            fail_with(Exit::usage, "criterion `", criterion, "`: ", word, ": ", e.what());
        }
    }
    fail_with(Exit::usage, "criterion `", criterion, "`: `", word, "` is not one of ", known);
}

}  // namespace

PruneSettings with_criterion(PruneSettings p, const std::string& text) {
    const std::vector<std::string> words = split_list(text, '+', "--criterion");
    p.score.criterion = words[0];
    for (size_t i = 1; i < words.size(); ++i) apply(p, words[i], text);
    return p;
}

std::optional<uint64_t> scores_placebo(const PruneSettings& p) {
    return p.tune.placebo ? p.tune.placebo : p.placebo_scores ? std::optional(p.seed) : std::nullopt;
}

std::optional<PlaceboNote> placebo_note(const PruneSettings& p) {
    const std::optional<uint64_t> seed = scores_placebo(p);
    if (!seed || p.attributes.empty()) return std::nullopt;
    PlaceboNote out{.seed = *seed};
    if (reads_groups(p.score)) out.seen_by.push_back("scores");
    if (p.tune.placebo && p.tune.epochs > 0)
        for (const std::string& reader : group_readers(p.tune)) out.seen_by.push_back(reader);
    return out.seen_by.empty() ? std::nullopt : std::optional(out);
}

ScoreOptions score_options(const PruneSettings& p, const std::map<std::string, double>& weights, int round) {
    ScoreOptions out = p.score;
    out.attributes = weights;
    std::erase_if(out.attributes, [](const auto& a) { return a.second == 0; });
    out.seed = p.seed + uint64_t(round);
    out.placebo = scores_placebo(p);
    out.predict = predict_options(p);
    out.snnl.halves = !p.choose.round_to;  // for the noise that says which channels are tied
    return out;
}

PredictOptions predict_options(const PruneSettings& p) {
    return {.batch_size = p.batch_size, .workers = p.tune.workers, .skip_bad = p.tune.skip_bad};
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

std::vector<std::string> split_list(const std::string& text, char separator, const char* option) {
    std::vector<std::string> out;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(separator, at), text.size());
        FP_REQUIRE(end > at, Exit::usage, option, " `", text, "`: an entry of the list is empty");
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

}  // namespace fp
