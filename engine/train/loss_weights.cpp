#include "engine/train/loss_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "kernels/error.h"

namespace fp {

std::span<const SampleWeighting* const> SampleWeighting::all() {
    static constexpr std::array kAll{&none, &reweighing, &class_group};
    return kAll;
}

std::vector<float> sample_weights(const SampleWeighting& how, const Dataset& set, const Grouping& grouping) {
    std::map<int, double> of_class, of_group;
    std::map<std::pair<int, int>, double> of_cell;
    double n = 0;
    for (const int64_t i : members(set, Split::train)) {
        const int group = grouping.of[size_t(i)], label = set.samples[size_t(i)].label;
        if (group < 0) continue;
        ++n, ++of_class[label], ++of_group[group], ++of_cell[{label, group}];
    }
    std::vector<float> out(set.samples.size(), 1.0f);
    if (how == SampleWeighting::none) return out;
    for (const int64_t i : members(set, Split::train)) {
        const int group = grouping.of[size_t(i)], label = set.samples[size_t(i)].label;
        if (group < 0) continue;
        const double cell = of_cell.at({label, group});
        out[size_t(i)] = float(how == SampleWeighting::reweighing ? of_group.at(group) * of_class.at(label) / (n * cell)
                                                                  : n / (double(of_cell.size()) * cell));
    }
    return out;
}

LossCells loss_cells(const Dataset& set, const Grouping& grouping, bool by_class) {
    const auto cell_of = [&](size_t i) { return std::pair{by_class ? set.samples[i].label : 0, grouping.of[i]}; };
    std::map<std::pair<int, int>, int32_t> index;
    for (const int64_t i : members(set, Split::train))
        if (grouping.of[size_t(i)] >= 0) index[cell_of(size_t(i))];
    LossCells out;
    for (auto& [cell, at] : index) {
        at = int32_t(out.names.size());
        const std::string& group = grouping.groups[size_t(cell.second)];
        out.names.push_back(by_class ? set.classes[size_t(cell.first)] + "*" + group : group);
    }
    for (size_t i = 0; i < set.samples.size(); ++i) {
        const auto found = grouping.of[i] < 0 ? index.end() : index.find(cell_of(i));
        out.of.push_back(found == index.end() ? -1 : found->second);
    }
    return out;
}

GroupDro::GroupDro(double eta, LossCells cells)
    : eta_(eta), cells_(std::move(cells)), q_(cells_.names.size(), 1.0 / double(cells_.names.size())) {
    FP_CHECK(!cells_.names.empty(), "GroupDRO: there are no groups");
}

std::vector<float> GroupDro::weigh(const Batch& batch, std::span<const double> losses) {
    const Cells cells = cells_of(batch, losses);
    see(cells, batch.number);
    return weights(batch, cells);
}

GroupDro::Cells GroupDro::cells_of(const Batch& batch, std::span<const double> losses) const {
    Cells out{std::vector<double>(q_.size(), 0.0), std::vector<double>(q_.size(), 0.0)};
    for (int i = 0; i < batch.n; ++i) {
        if (batch.labels[size_t(i)] < 0 || cell_of(batch, i) < 0) continue;
        out.losses[size_t(cell_of(batch, i))] += losses[size_t(i)];
        ++out.samples[size_t(cell_of(batch, i))];
    }
    return out;
}

void GroupDro::see(const Cells& cells, int64_t batch) {
    if (cells.losses.empty()) return;
    std::vector<double> mean(q_.size(), 0.0);
    for (size_t g = 0; g < q_.size(); ++g)
        if (cells.samples[g] > 0) mean[g] = cells.losses[g] / cells.samples[g];
    const double most = std::ranges::max(mean);  // taken out of every exponent, so that none overflows
    double total = 0;
    for (size_t g = 0; g < q_.size(); ++g) total += q_[g] *= std::exp(eta_ * (mean[g] - most));
    FP_REQUIRE(total > 0 && std::isfinite(total), Exit::diverged, "GroupDRO: the groups' weights sum to ", total,
               " in batch ", batch, "; a lower --group-dro may help");
    for (double& q : q_) q /= total;
}

std::vector<float> GroupDro::weights(const Batch& batch, const Cells& cells) const {
    double known = 0;
    for (const double n : cells.samples) known += n;
    std::vector<float> out;
    for (int i = 0; i < batch.n; ++i) {
        if (batch.labels[size_t(i)] < 0)
            out.push_back(0);
        else if (const int32_t g = cell_of(batch, i); g < 0)
            out.push_back(1);
        else
            out.push_back(float(q_[size_t(g)] * known / cells.samples[size_t(g)]));
    }
    return out;
}

}  // namespace fp
