#include "tools/pruning.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/data/device_input.h"
#include "engine/measure/stopwatch.h"

namespace fp {

void add_pruning_options(Options& o, PruningOptions& p) {
    using Definition = SnnlShape::Definition;
    using Distance = SnnlShape::Distance;
    o.heading("Scores");
    o.add("criterion NAME", p.criterion,
          names_of<Criterion>() + ", or none, which only fine-tunes");
    o.choice<Definition>("snnl NAME", p.snnl.definition,
                         {{"exact", Definition::exact}, {"as-released", Definition::as_released}},
                         "the formula, or what the paper's code computes");
    o.add("temperature T", p.snnl.temperature, "of the soft neighbours",
          {.low = 1e-6, .high = 1e6});
    o.choice<Distance>("distance NAME", p.snnl.distance,
                       {{"cosine", Distance::cosine}, {"euclidean", Distance::euclidean}},
                       "between two samples' maps of a channel; euclidean is squared");
    o.choice<Tap>("tap NAME", p.tap,
                  {{"conv", Tap::convolution}, {"norm", Tap::norm}, {"act", Tap::activation}},
                  "where a layer is looked at");
    o.add("samples N", p.samples, "calibration images, from the training split; 0 is all",
          {.low = 0});
    o.add("centre", p.snnl.centred, "subtract the mean map before distances");
    o.choice<bool>("given NAME", p.snnl.given_class, {{"none", false}, {"class", true}},
                   "class: compare samples of one class only");
    o.add("batches N", p.batches, "score blocks of N images and average; 0 is all at once",
          {.low = 0, .high = 1 << 20});
    o.add("permutations N", p.snnl.permutations,
          "deal the groups anew N times: each score's null, z and p; 0 is none",
          {.low = 0, .high = 10000});
    o.add("protect LAMBDA", p.protect, "keep what tells the class: weight of the class's own score",
          {.low = 0, .high = 1000});
    o.add(
        "learn-weights ETA", p.learn_weights,
        "several attributes: after each round, weigh those up by which groups' losses differ; 0 is "
        "fixed weights",
        {.low = 0, .high = 1000});
    o.add("beta X", p.fairprune.beta, "fairprune: how much the other groups' loss counts",
          {.low = 0, .high = 1000});
    o.add("protected NAME", p.fairprune.protected_group,
          "fairprune: the group to keep; the one of the highest loss");
    o.heading("Removal");
    o.add("layers NAME", p.layers, "last, all, or a pattern over layer names");
    o.add("amount A", p.amount,
          "a round's channels: 5, 10%; or what is left: macs:60%, params:60%, latency:60%");
    o.choice<bool>("removal NAME", p.mask, {{"cut", false}, {"mask-as-released", true}},
                   "cut, or, to compare, zero the filters as the paper's code does");
    o.add("min-channels N", p.min_channels, "that every set keeps", {.low = 1, .high = 65536});
    o.add("round-to N", p.round_to, "kept channels are a multiple of this",
          {.low = 1, .high = 1024});
    o.add("recalibrate N", p.recalibrate,
          "after a cut, batch norm's statistics anew from N batches of training images; 0 is none",
          {.low = 0, .high = 100000});
    o.add("iterations N", p.iterations, "rounds of score, cut, fine-tune, evaluate",
          {.low = 1, .high = 10000});
    o.add("max-drop X", p.max_drop,
          "stop once validation balanced accuracy is this far below dense", {.low = 0, .high = 1});
    o.add("patience N", p.patience,
          "stop after so many rounds without a better objective; 0 is never",
          {.low = 0, .high = 10000});
    o.add("objective NAME", p.objective,
          "of the best round, on validation: as --select, rms:ATTRIBUTE too; that of the first "
          "attribute");
    o.add("finetune WHAT", p.finetune, "all, head or norm: what is trained");
}

nlohmann::ordered_json to_json(const PruningOptions& p,
                               const std::vector<std::string>& attributes) {
    return {
        {"criterion", p.criterion},
        {"definition", p.snnl.definition == SnnlShape::Definition::exact ? "exact" : "as-released"},
        {"distance", p.snnl.distance == SnnlShape::Distance::cosine ? "cosine" : "euclidean"},
        {"temperature", p.snnl.temperature},
        {"tap", name(p.tap)},
        {"samples", p.samples},
        {"centre", p.snnl.centred},
        {"given_class", p.snnl.given_class},
        {"batches", p.batches},
        {"permutations", p.snnl.permutations},
        {"protect", p.protect},
        {"beta", p.fairprune.beta},
        {"protected", p.fairprune.protected_group},
        {"attributes", attributes},
        {"learn_weights", p.learn_weights},
        {"removal", p.mask ? "mask-as-released" : "cut"},
        {"layers", p.layers},
        {"amount", p.amount},
        {"min_channels", p.min_channels},
        {"round_to", p.round_to},
        {"recalibrate", p.recalibrate},
        {"iterations", p.iterations},
        {"finetune", p.finetune}};
}

ScoreOptions score_options(const PruningOptions& p,
                           const std::vector<std::string>& attributes,
                           uint64_t seed,
                           int batch_size,
                           int workers) {
    ScoreOptions out{.criterion = p.criterion,
                     .attributes = weighted_attributes(attributes),
                     .snnl = p.snnl,
                     .tap = p.tap,
                     .layers = p.layers,
                     .samples = p.samples,
                     .protect = p.protect,
                     .fairprune = p.fairprune,
                     .seed = seed,
                     .predict = {.batch_size = batch_size, .workers = workers}};
    out.snnl.block = p.batches;
    std::erase_if(out.attributes, [](const auto& a) { return a.second == 0; });
    return out;
}

PruningOptions with_criterion(PruningOptions p, const std::string& text) {
    const auto number_in = [&](const std::string& word) {
        const size_t equals = word.find('=');
        char* rest = nullptr;
        const double value = std::strtod(word.c_str() + equals + 1, &rest);
        FP_REQUIRE(equals + 1 < word.size() && *rest == 0 && value >= 0, Exit::usage, "criterion `",
                   text, "`: ", word, " has no number");
        return value;
    };
    size_t at = text.find('+');
    p.criterion = text.substr(0, at);
    while (at != std::string::npos) {
        const size_t end = text.find('+', at + 1);
        const std::string word = text.substr(at + 1, end == std::string::npos ? end : end - at - 1);
        at = end;
        if (word == "exact") {
            p.snnl.definition = SnnlShape::Definition::exact;
        } else if (word == "as-released") {
            p.snnl.definition = SnnlShape::Definition::as_released;
        } else if (word == "given-class") {
            p.snnl.given_class = true;
        } else if (word == "centre") {
            p.snnl.centred = true;
        } else if (word == "euclidean") {
            p.snnl.distance = SnnlShape::Distance::euclidean;
        } else if (word == "mask") {
            p.mask = true;
        } else if (word.starts_with("tap=")) {
            p.tap = parse_tap(word.substr(4));
        } else if (word.starts_with("layers=")) {
            p.layers = word.substr(7);
        } else if (word.starts_with("protect=")) {
            p.protect = number_in(word);
        } else if (word.starts_with("temperature=")) {
            p.snnl.temperature = number_in(word);
            FP_REQUIRE(p.snnl.temperature > 0, Exit::usage, "criterion `", text, "`: ", word);
        } else if (word.starts_with("samples=")) {
            p.samples = int64_t(number_in(word));
        } else if (word.starts_with("learn=")) {
            p.learn_weights = number_in(word);
        } else {
            fail_with(
                Exit::usage, "criterion `", text, "`: `", word,
                "` is not exact, as-released, given-class, centre, euclidean, mask, tap=, layers=, "
                "protect=, temperature=, samples= or learn=");
        }
    }
    return p;
}

ChooseOptions choose_options(const PruningOptions& p) {
    return {
        .amount = parse_amount(p.amount), .min_channels = p.min_channels, .round_to = p.round_to};
}

Cost cost_of(const LoadedModel& dense, const Kernels& k, int batch_size) {
    const int size = dense.card.preprocessing.image_size;
    return [&dense, &k, size, batch_size](Amount::Kind kind, const ModelSpec& spec) {
        if (kind == Amount::Kind::latency) {
            const auto small = std::make_unique<Network>(dense.network->architecture, spec, k);
            small->initialize(1);
            const auto seconds = time_in_turns(
                {dense.network.get(), small.get()},
                {.batch_size = batch_size, .image_size = size, .seconds = 0.5, .min_rounds = 5});
            return ratio_of(seconds[1], seconds[0]).value;
        }
        const Totals whole = totals(layer_costs(*dense.network, size));
        const Totals left = totals(layer_costs(dense.network->architecture, spec, size));
        return kind == Amount::Kind::macs ? left.macs / whole.macs
                                          : double(left.parameters) / double(whole.parameters);
    };
}

void choose_trainable(Network& net, const std::string& what) {
    FP_REQUIRE(what == "all" || what == "head" || what == "norm", Exit::usage, "--finetune `", what,
               "` is not all, head or norm");
    for (Param& p : net.params.all()) {
        const bool of_head = p.name.starts_with(text(net.architecture.head, "."));
        const std::string stem = p.name.substr(0, p.name.rfind('.'));
        const bool of_norm =
            p.kind == Param::Kind::vector && net.params.find(stem + ".running_var");
        p.trainable = what == "all" || (what == "head" && of_head) || (what == "norm" && of_norm);
    }
}

double difference_from_silenced(const Network& old,
                                const Network& cut_network,
                                const std::vector<ChannelSet>& sets,
                                const Removal& removal,
                                const ImageData& data,
                                const Preprocessing& preprocessing) {
    const auto silenced = copy_of(old);
    silence(*silenced, sets, removal);
    std::vector<int64_t> samples = members(data.set, Split::train);
    samples.resize(std::min<size_t>(samples.size(), 64));
    auto logits = [&](const Network& net) {
        Session session(net);
        const Predictions p =
            predict(session, preprocessing, data, samples, {.batch_size = 64, .workers = 1});
        std::vector<double> out;
        for (const double v : p.prob) out.push_back(std::log(std::max(v, 1e-30)));
        return out;
    };
    const auto a = logits(*silenced), b = logits(cut_network);
    double difference = 0, largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference = std::max(difference, std::abs(a[i] - b[i]));
        largest = std::max(largest, std::abs(a[i]));
    }
    return difference / largest;
}

std::string describe(const ChannelSet& set) {
    return fmt::format("{:<18}{:>5} channels{}\n    made by  {}\n    cut      {}\n    read by  {}",
                       set.name(), set.channels, set.prunable ? "" : " (cannot be removed)",
                       fmt::join(set.layers, " "), fmt::join(set.rows, " "),
                       set.columns.empty() ? "-" : fmt::format("{}", fmt::join(set.columns, " ")));
}

}  // namespace fp
