#include "engine/train/snnl_penalty.h"

#include <memory>

#include "engine/core/channel_sets.h"
#include "engine/eval/snnl_chance.h"
#include "kernels/error.h"

namespace fp {
namespace {

class SnnlPenalty {
public:
    SnnlPenalty(const SnnlPenaltyOptions& options, std::vector<PenaltyAttribute> attributes, ChannelWeights* weights)
        : o_(options), attributes_(std::move(attributes)), weights_(weights) {
        double sum = 0;
        for (const PenaltyAttribute& a : attributes_) sum += a.weight;
        FP_REQUIRE(sum > 0, Exit::usage, "--snnl-weight needs an --attribute");
        for (PenaltyAttribute& a : attributes_) a.weight /= sum;
    }

    double operator()(Tape& tape, const Batch& batch, std::vector<Tape::Seed>& seeds) {
        if (layers_.empty()) layers_ = match_layers(tape.nodes(), channel_sets(tape.nodes()), o_.layers);
        double value = 0;
        for (const std::string& layer : layers_) {
            const Var row = tap_row(tape.nodes(), layer, o_.tap);
            FP_REQUIRE(tape.needs_grad(row), Exit::usage, "--snnl-weight: nothing up to ", layer, " is trained");
            if (weights_) weights_->slope[layer].assign(size_t(tape.value(row).map.c), 0.0);
            Tensor gradient;
            for (const PenaltyAttribute& a : attributes_) value += add(tape, row, batch, a, layer, gradient);
            if (gradient) seeds.push_back({row, gradient});
        }
        return value;
    }

private:
    double add(Tape& tape,
               Var row,
               const Batch& batch,
               const PenaltyAttribute& attribute,
               const std::string& layer,
               Tensor& gradient) {
        std::vector<int32_t> groups;
        for (int i = 0; i < batch.n; ++i)
            groups.push_back(batch.labels[i] < 0 ? -1 : attribute.of[size_t(batch.samples[i])]);
        const double by_chance = chance(groups, o_.given_class ? batch.labels : std::vector<int32_t>{});
        if (!(by_chance > 0)) return 0;

        const Kernels& k = tape.kernels();
        const Tensor x = tape.value(row);
        const SnnlShape s{.x = x.map, .temperature = o_.temperature};
        const size_t label_bytes = groups.size() * sizeof(int32_t);
        auto* labels = static_cast<int32_t*>(labels_.grow(k.memory, label_bytes));
        k.memory.copy_in(labels, groups.data(), label_bytes, {});
        int32_t* strata = nullptr;
        if (o_.given_class) {
            strata = static_cast<int32_t*>(strata_.grow(k.memory, label_bytes));
            k.memory.copy_in(strata, batch.labels.data(), label_bytes, {});
        }
        const size_t score_bytes = size_t(x.map.c) * sizeof(double);
        auto* scores = static_cast<double*>(scores_.grow(k.memory, score_bytes));
        void* scratch = tape.scratch(std::max<size_t>(k.snnl.scratch_bytes(s, true), 1));
        k.snnl.forward(s, {.x = x.data, .labels = labels, .strata = strata, .scores = scores}, scratch, {});
        std::vector<double> score(x.map.c);
        k.memory.copy_out(score.data(), scores, score_bytes, {});

        const double share = o_.weight * attribute.weight / double(layers_.size()) / x.map.c;
        double value = 0;
        std::vector<double> slope(score.size(), -share / by_chance);
        for (size_t c = 0; c < score.size(); ++c) {
            double term = share * (1 - score[c] / by_chance);
            if (weights_) {
                weights_->slope.at(layer)[c] += term;
                term *= weights_->of.at(layer)[c];
                slope[c] *= weights_->of.at(layer)[c];
            }
            value += term;
        }
        k.memory.copy_in(scores, slope.data(), score_bytes, {});
        const Write write = gradient ? Write::add : Write::replace;
        if (!gradient) gradient = tape.empty(x.map);
        k.snnl.backward(
            s, {.x = x.data, .labels = labels, .strata = strata, .dscore = scores, .dx = gradient.data, .write = write},
            scratch, {});
        k.memory.synchronize({});  // slope and groups are ours
        return value;
    }

    SnnlPenaltyOptions o_;
    std::vector<PenaltyAttribute> attributes_;
    ChannelWeights* weights_;
    std::vector<std::string> layers_;
    Buffer labels_, strata_, scores_;
};

}  // namespace

Penalty snnl_penalty(const SnnlPenaltyOptions& options,
                     const std::vector<PenaltyAttribute>& attributes,
                     ChannelWeights* weights) {
    const auto penalty = std::make_shared<SnnlPenalty>(options, attributes, weights);
    return {.add = [penalty](Tape& tape, const Batch& batch,
                             std::vector<Tape::Seed>& seeds) { return (*penalty)(tape, batch, seeds); },
            .rows = rows_for(options.tap)};
}

}  // namespace fp
