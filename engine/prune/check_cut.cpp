#include "engine/prune/check_cut.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/measure/layer_costs.h"
#include "engine/parallel/agree.h"

namespace fp {
namespace {

// log p: the logits up to a constant of each image.
std::vector<double> log_probabilities(const Network& net,
                                      const Baseline& dense,
                                      const std::vector<int64_t>& samples,
                                      const Steps& progress) {
    Session session(net);
    PredictOptions options = dense.predict_options;
    options.batch_size = 64;
    options.workers = 1;
    options.progress = progress;
    const Predictions p = predict({session, dense.model.card.preprocessing, dense.data, samples, options});
    std::vector<double> out;
    for (const double v : p.prob) out.push_back(std::log(std::max(v, 1e-30)));
    return out;
}

}  // namespace

Cost cost_of(const Baseline& dense, const Comm* together) {
    return [&dense, together](Amount::Kind kind, const ModelSpec& spec) {
        if (kind == Amount::Kind::latency) {
            Network small(dense.model.network->architecture, spec, dense.kernels());
            small.initialize(1);
            const auto measured = [&] { return dense.latency(small, 0.5, 5).value; };
            if (!together) return measured();
            double value = 0;
            agree(*together, [&] {
                if (together->first()) value = measured();
            });
            return together->sum({value})[0];
        }
        const int size = dense.image_size();
        const Totals whole = totals(layer_costs(*dense.model.network, size));
        const Totals left = totals(layer_costs(dense.model.network->architecture, spec, size));
        return kind == Amount::Kind::macs ? left.macs / whole.macs : double(left.parameters) / double(whole.parameters);
    };
}

double difference_from_silenced(const Network& old,
                                const Network& cut_network,
                                const std::vector<ChannelSet>& sets,
                                const Removal& removal,
                                const Baseline& dense,
                                const Steps& progress) {
    const std::unique_ptr<Network> silenced = copy_of(old);
    silence(*silenced, sets, removal);
    std::vector<int64_t> samples = members(dense.data.set, Split::train);
    samples.resize(std::min<size_t>(samples.size(), 64));
    const std::vector<double> a = log_probabilities(*silenced, dense, samples, progress),
                              b = log_probabilities(cut_network, dense, samples, progress);
    double difference = 0, largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference = std::max(difference, std::abs(a[i] - b[i]));
        largest = std::max(largest, std::abs(a[i]));
    }
    return difference / largest;
}

std::string slow_sets_text(const Kernels& k, const std::vector<ChannelSet>& sets, const Removal& removal) {
    const auto stored = [&](int channels) { return Map{.c = channels, .block = k.block(channels)}.stored_c(); };
    int as_slow = 0;
    for (const ChannelSet& set : sets) {
        const auto gone = removal.find(set.name());
        if (gone != removal.end()) as_slow += stored(set.channels - int(gone->second.size())) == stored(set.channels);
    }
    if (as_slow == 0) return "";
    return fmt::format("{} of {} sets are no faster on this device: --round-to {} keeps what is free", as_slow,
                       removal.size(), stored(1));
}

std::string describe(const ChannelSet& set) {
    return fmt::format("{:<18}{:>5} channels{}\n    made by  {}\n    cut      {}\n    read by  {}", set.name(),
                       set.channels, set.prunable ? "" : " (cannot be removed)", fmt::join(set.layers, " "),
                       fmt::join(set.rows, " "),
                       set.columns.empty() ? "-" : fmt::format("{}", fmt::join(set.columns, " ")));
}

}  // namespace fp
