#include "engine/prune/tuning.h"

#include <algorithm>
#include <memory>

#include "engine/data/sampler.h"
#include "engine/data/split.h"
#include "kernels/error.h"

namespace fp {

void choose_trainable(Network& net, const std::string& what) {
    const std::string head = text(net.architecture.head, ".");
    for (Param& p : net.params.all()) {
        const std::string stem = p.name.substr(0, p.name.rfind('.'));
        const bool of_norm = p.kind == Param::Kind::vector && net.params.find(stem + ".running_var");
        p.trainable = what == "all" || (what == "head" && p.name.starts_with(head)) || (what == "norm" && of_norm);
    }
}

void renew_head(Network& net, uint64_t seed) {
    const std::unique_ptr<Network> fresh = copy_of(net);
    fresh->initialize(seed);
    for (const Param& p : net.params.all())
        if (p.name.starts_with(text(net.architecture.head, ".")))
            net.params.set(p, fresh->params.get(*fresh->params.find(p.name)).data());
}

std::vector<int64_t> recalibration_samples(const Dataset& set, const PruneSettings& p, int round) {
    const std::vector<int64_t> samples = members(set, Split::train);
    const std::vector<int> labels(samples.size(), 0);  // a plain shuffle does not look at them
    std::vector<int64_t> drawn;
    for (const int64_t at : epoch_order(Sampling::shuffled, labels, {}, p.seed, uint64_t(round)))
        drawn.push_back(samples[size_t(at)]);
    drawn.resize(std::min(drawn.size(), size_t(p.recalibrate) * size_t(p.batch_size)));
    return drawn;
}

}  // namespace fp
