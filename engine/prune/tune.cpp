#include "engine/prune/tune.h"

namespace fp {

void choose_trainable(Network& net, const std::string& what) {
    const std::string head = text(net.architecture.head, ".");
    for (Param& p : net.params.all()) {
        const bool of_head = p.name.starts_with(head);
        const std::string stem = p.name.substr(0, p.name.rfind('.'));
        const bool of_norm = p.kind == Param::Kind::vector && net.params.find(stem + ".running_var");
        p.trainable = what == "all" || (what == "head" && of_head) || (what == "norm" && of_norm);
    }
}

std::vector<int64_t> recalibration_samples(const Dataset& set, const PruneSettings& p, int round) {
    const std::vector<int64_t> samples = members(set, Split::train);
    const std::vector<int> labels(samples.size(), 0);  // a plain shuffle does not look at them
    std::vector<int64_t> drawn;
    for (const int64_t at : epoch_order(Sampling::shuffled, labels, {}, p.seed, uint64_t(round)))
        drawn.push_back(samples[size_t(at)]);
    const size_t wanted = size_t(p.recalibrate) * size_t(p.batch_size);
    drawn.resize(std::min(drawn.size(), wanted));
    return drawn;
}

void adopt_average(Trainer& trainer, Network& net) {
    std::unique_ptr<Network> averaged;
    {
        const Trainer::Averaged now(trainer);
        averaged = copy_of(net);
    }
    for (const Param& p : averaged->params.all())
        net.params.set(*net.params.find(p.name), averaged->params.get(p).data());
}

}  // namespace fp
