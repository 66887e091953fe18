#include "engine/prune/criteria/learned_masks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/data/placebo.h"
#include "engine/measure/layer_costs.h"
#include "engine/parallel/agree.h"
#include "engine/prune/criteria/gradient_criteria.h"
#include "engine/prune/cut.h"
#include "engine/train/settings.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr double kStart = 5;                                      // of every logit
constexpr uint64_t kGateOrder = 0x6a7e1, kGateAugment = 0x6a7e2;  // first words of the keys of random numbers

// The sets that make the channels of the layers asked for.
std::vector<ChannelSet> gated_sets(const Scoring& s) {
    std::vector<ChannelSet> out;
    for (const ChannelSet& set : s.sets)
        if (std::ranges::any_of(s.layers, [&](const std::string& layer) { return set_of(s.sets, layer) == set; }))
            out.push_back(set);
    return out;
}

// What one channel of each set costs, over the cost of all of them. A set of a single channel keeps it for nothing.
std::map<std::string, double> costs_of(const Scoring& s, const std::vector<ChannelSet>& sets, const GateCost& by) {
    const Network& net = s.network();
    const auto macs = [&](const ModelSpec& spec) {
        return totals(layer_costs(net.architecture, spec, s.preprocessing.image_size)).macs;
    };
    std::map<std::string, double> out;
    double all = 0;
    for (const ChannelSet& set : sets) {
        double& own = out[set.name()];
        if (set.channels == 1) continue;
        own = by == GateCost::macs ? macs(net.spec) - macs(narrowed(net.spec, s.sets, {{set.name(), {0}}})) : 1;
        all += own * set.channels;
    }
    FP_REQUIRE(all > 0, Exit::data, "criterion masks: every set of ", s.options.layers, " has a single channel");
    for (auto& [name, own] : out) own /= all;
    return out;
}

SetScores constant(const std::vector<ChannelSet>& sets, double value) {
    SetScores out;
    for (const ChannelSet& set : sets) out[set.name()].assign(size_t(set.channels), value);
    return out;
}

// Adam of https://arxiv.org/abs/1412.6980 with its default moments.
class Adam {
public:
    explicit Adam(const SetScores& values, double rate) : rate_(rate) {
        for (const auto& [name, v] : values) mean_[name] = square_[name] = std::vector<double>(v.size(), 0.0);
    }

    void step(SetScores& values, const SetScores& gradient) {
        ++steps_;
        const double whole_mean = 1 - std::pow(kMean, steps_), whole_square = 1 - std::pow(kSquare, steps_);
        for (auto& [name, v] : values)
            for (size_t c = 0; c < v.size(); ++c) {
                const double g = gradient.at(name)[c];
                double &mean = mean_.at(name)[c], &square = square_.at(name)[c];
                mean = kMean * mean + (1 - kMean) * g;
                square = kSquare * square + (1 - kSquare) * g * g;
                v[c] -= rate_ * (mean / whole_mean) / (std::sqrt(square / whole_square) + 1e-8);
            }
    }

private:
    static constexpr double kMean = 0.9, kSquare = 0.999;
    double rate_;
    int steps_ = 0;
    SetScores mean_, square_;
};

class GateTraining {
public:
    explicit GateTraining(const Scoring& s)
        : s_(s),
          o_(s.options.masks),
          objective_(s),
          logits_(constant(objective_.sets(), kStart)),
          adam_(logits_, o_.rate),
          batch_size_(int(std::min<int64_t>(s.options.predict.batch_size, int64_t(s.samples.size())))),
          loader_(s.data.source,
                  s.data.labels(),
                  {.batch_size = batch_size_,
                   .image_size = s.preprocessing.image_size,
                   .workers = s.options.predict.workers,
                   .ready = s.data.ready,
                   .drop_last = true,
                   .skip_bad = s.options.predict.skip_bad,
                   .augment = parse_augment(o_.augment),
                   .memory = &s.network().kernels().memory}),
          input_(s.network().kernels(), s.preprocessing) {
        for (const int64_t sample : s.samples) labels_.push_back(s.data.set.samples[size_t(sample)].label);
        if (!o_.sampler->by_group) return;
        const Grouping crossed =
            groups_seen(s.data.set, fmt::format("{}", fmt::join(weighted(s.options), "*")), s.options.placebo);
        require_comparable(crossed);
        for (const int64_t sample : s.samples) groups_.push_back(crossed.of[size_t(sample)]);
    }

    SetScores run(std::string& note) {
        for (int epoch = 0; epoch < o_.epochs; ++epoch) train(epoch);
        note = fmt::format("gates: cross-entropy {:.3f}, penalty {:.3f}, {:.0f} % of the {} kept; {}",
                           mean_.entropy / batches_, mean_.penalty / batches_, 100 * mean_.kept / batches_,
                           o_.cost == GateCost::macs ? "multiply-adds" : "channels", tenths_text());
        return gates();
    }

private:
    SetScores gates() const {
        SetScores out = logits_;
        for (auto& [name, v] : out)
            for (double& x : v) x = 1 / (1 + std::exp(-x));
        return out;
    }

    void train(int epoch) {
        std::vector<int64_t> order =
            epoch_order(*o_.sampler, labels_, groups_, key_of(s_.options.seed, kGateOrder), uint64_t(epoch));
        for (int64_t& position : order) position = s_.samples[size_t(position)];
        loader_.start(std::move(order), key_of(s_.options.seed, kGateAugment, uint64_t(epoch)));
        mean_ = {};
        batches_ = 0;
        Batch batch;
        while (loader_.next(batch)) {
            if (std::ranges::max(batch.labels) >= 0) step(batch);
            if (const auto& progress = s_.options.predict.progress)
                progress((epoch * loader_.batches() + batch.number + 1) * batch_size_,
                         o_.epochs * loader_.batches() * batch_size_);
        }
        FP_REQUIRE(batches_ > 0, Exit::data, "criterion masks: no calibration image could be read");
    }

    void step(const Batch& batch) {
        const SetScores now = gates();
        GateStep at = objective_.at(now, batch, input_);
        FP_REQUIRE(std::isfinite(objective_.value(at)), Exit::diverged, "criterion masks: the objective is ",
                   objective_.value(at), " in batch ", batch.number);
        for (auto& [name, slope] : at.slope)
            for (size_t c = 0; c < slope.size(); ++c) slope[c] *= now.at(name)[c] * (1 - now.at(name)[c]);
        adam_.step(logits_, at.slope);
        ++batches_;
        mean_.entropy += at.entropy;
        mean_.penalty += at.penalty;
        mean_.kept += at.kept;
    }

    std::string tenths_text() const {
        std::array<int, 10> count{};
        int all = 0, low = 0;
        for (const auto& [name, v] : gates())
            for (const double m : v) {
                ++count[size_t(std::min(9, int(m * 10)))];
                ++all;
                low += m < 0.5;
            }
        return fmt::format("{} of {} below 0.5; by tenths from 0: {}", low, all, fmt::join(count, " "));
    }

    const Scoring& s_;
    const MaskOptions& o_;
    GateObjective objective_;
    SetScores logits_;
    Adam adam_;
    const int batch_size_;
    Loader loader_;
    DeviceInput input_;
    std::vector<int> labels_, groups_;
    GateStep mean_;  // sums over the epoch's batches
    int batches_ = 0;
};

}  // namespace

std::span<const GateCost* const> GateCost::all() {
    static constexpr std::array kAll{&channels, &macs};
    return kAll;
}

GatedNetwork::GatedNetwork(const Network& frozen, const std::vector<ChannelSet>& sets)
    : network_(copy_of(frozen)), gates_(constant(sets, 1)) {
    for (Param& p : network_->params.all()) p.trainable = false;
    for (const ChannelSet& set : sets)
        for (const auto& gate : fp::gates(*network_, set))
            for (const Param* p : gate) gated_.push_back({p, set.name(), network_->params.get(*p)});
    for (Param& p : network_->params.all())
        p.trainable = std::ranges::any_of(gated_, [&](const Gated& g) { return g.param == &p; });
}

void GatedNetwork::set(const SetScores& gates) {
    for (const Gated& g : gated_) {
        const std::vector<double>& m = gates.at(g.set);
        std::vector<double> scaled = g.frozen;
        for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= m[i / size_t(g.row())];
        network_->params.set(*g.param, scaled.data());
    }
}

SetScores GatedNetwork::gradient() const {
    SetScores out = gates_;
    for (auto& [name, v] : out) std::ranges::fill(v, 0.0);
    for (const Gated& g : gated_) {
        const std::vector<double> gradient = network_->params.get_grad(*g.param);
        std::vector<double>& sum = out.at(g.set);
        for (size_t i = 0; i < gradient.size(); ++i) sum[i / size_t(g.row())] += gradient[i] * g.frozen[i];
    }
    return out;
}

GateObjective::GateObjective(const Scoring& s)
    : options_(s.options.masks),
      sets_(gated_sets(s)),
      gated_(s.network(), sets_),
      session_(gated_.network()),
      entropy_(s.network().kernels(), s.network().spec.classes),
      cost_(costs_of(s, sets_, *options_.cost)) {
    for (const std::string& layer : s.layers) set_of_layer_[layer] = set_of(sets_, layer).name();
    if (options_.snnl_weight > 0)
        penalty_ = snnl_penalty({.weight = options_.snnl_weight,
                                 .layers = s.options.layers,
                                 .temperature = s.options.snnl.temperature,
                                 .given_class = s.options.snnl.given_class},
                                penalty_attributes(s.data.set, s.options.attributes, s.options.placebo), &weights_);
}

GateStep GateObjective::at(const SetScores& gates, const Batch& batch, DeviceInput& input) {
    gated_.set(gates);
    for (const auto& [layer, set] : set_of_layer_) weights_.of[layer] = gates.at(set);
    Tape tape = session_.begin({.mode = Mode::eval, .rows = penalty_.rows});
    const Var logits = gated_.network().forward(tape, input(tape, batch));
    const LossRow loss = cross_entropy(tape, logits, batch.labels, entropy_);
    GateStep out{.entropy = mean_loss(tape, loss)};
    std::vector<Tape::Seed> seeds{{loss.row}};
    if (penalty_) out.penalty = penalty_.add(tape, batch, seeds);
    tape.backward(seeds);
    out.slope = gated_.gradient();
    for (const auto& [layer, slope] : weights_.slope) {
        std::vector<double>& sum = out.slope.at(set_of_layer_.at(layer));
        for (size_t c = 0; c < slope.size(); ++c) sum[c] += slope[c];
    }
    for (auto& [set, slope] : out.slope)
        for (size_t c = 0; c < slope.size(); ++c) {
            out.kept += cost_.at(set) * gates.at(set)[c];
            slope[c] += options_.sparsity * cost_.at(set);
        }
    return out;
}

SetScores learned_gates(const Scoring& s, std::string& note) {
    SetScores out;
    agree(s.options.predict.comm(), [&] { out = GateTraining(s).run(note); });
    return out;
}

namespace criteria {
extern const Criterion masks{
    .name = "masks",
    .says = "the lowest gates, trained on frozen weights for the loss, sparsity and snnl=WEIGHT",
    .paper = "https://arxiv.org/abs/2603.05582",
    .needs = Needs::images,
    .score = [](const Scoring& s, ChannelScores& out) { out.sets = learned_gates(s, out.note); },
    .settings = "temperature given_class batch_size attribute_weights masks",
    .reads_groups = [](const ScoreOptions& o) { return o.masks.reads_groups(); },
    .comparable = true};
}

}  // namespace fp
