#include "engine/prune/check_cut.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

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

int filled(const Kernels& k, int channels) {
    return channels == 0 ? 0 : Map{.c = channels, .block = k.block(channels)}.stored_c();
}

int filling_multiple(const Kernels& k) {
    constexpr int kWidest = 4096;
    int n = filled(k, 1);
    const auto fills = [&] {
        for (int c = n; c <= kWidest; c += n)
            if (filled(k, c) != c) return false;
        return true;
    };
    while (!fills()) n *= 2;
    return n;
}

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

Ties ties_of(const Kernels& k,
             const std::vector<ChannelSet>& sets,
             std::map<std::string, double> noise,
             const Comm* together) {
    int most = 0;
    for (const ChannelSet& set : sets) most = std::max(most, set.channels);
    Ties out{.noise = std::move(noise)};
    for (int c = 0; c <= most; ++c) out.filled.push_back(filled(k, c));
    if (!together) return out;
    // Their hosts may have other instruction sets.
    const std::string first =
        together->from_first({reinterpret_cast<const char*>(out.filled.data()), out.filled.size() * sizeof(int)});
    std::memcpy(out.filled.data(), first.data(), out.filled.size() * sizeof(int));
    return out;
}

std::string slow_sets_text(const Kernels& k, const std::vector<ChannelSet>& sets, const Removal& removal) {
    int as_slow = 0;
    for (const ChannelSet& set : sets) {
        const auto gone = removal.find(set.name());
        if (gone == removal.end()) continue;
        as_slow += filled(k, set.channels - int(gone->second.size())) == filled(k, set.channels);
    }
    if (as_slow == 0) return "";
    return fmt::format("{} of {} sets are no faster on this device: --round-to {} keeps what is free", as_slow,
                       removal.size(), filling_multiple(k));
}

double padding_share(const Kernels& k, const std::vector<LayerCost>& dense, const std::vector<LayerCost>& cut) {
    FP_CHECK(dense.size() == cut.size(), "padding: ", cut.size(), " layers of ", dense.size());
    const auto more = [&](int before, int after) {
        return filled(k, before) == before ? double(filled(k, after)) / after : 1.0;
    };
    double padded = 0, macs = 0;
    for (size_t i = 0; i < cut.size(); ++i) {
        const LayerCost &a = dense[i], &b = cut[i];
        if (b.macs <= 0) continue;
        macs += b.macs;
        padded += b.macs * more(a.in_channels, b.in_channels) * more(a.out_channels, b.out_channels);
    }
    return macs > 0 ? padded / macs - 1 : 0;
}

std::string padding_text(const Kernels& k, double share) {
    if (share < 0.01) return "";
    return fmt::format(
        "widths that fill no blocks of this device cost {:.0f} % more multiply-adds: --round-to {} avoids them",
        100 * share, filling_multiple(k));
}

std::string describe(const ChannelSet& set) {
    return fmt::format("{:<18}{:>5} channels{}\n    made by  {}\n    cut      {}\n    read by  {}", set.name(),
                       set.channels, set.prunable ? "" : " (cannot be removed)", fmt::join(set.layers, " "),
                       fmt::join(set.rows, " "),
                       set.columns.empty() ? "-" : fmt::format("{}", fmt::join(set.columns, " ")));
}

}  // namespace fp
