#include "kernels/cpu/snnl_labels.h"

#include <algorithm>

namespace fp::cpu {
namespace {

constexpr int64_t kUnknown = -1;  // differs from all keys of known labels, which are not negative

int64_t key(int32_t stratum, int32_t label) { return int64_t(stratum) << 32 | uint32_t(label); }

}  // namespace

SnnlLabels::SnnlLabels(int samples, int sets, Carve& carve)
    : samples_(samples),
      sets_(sets),
      part_(carve.take<int32_t>(int64_t(most_partitions(sets)) * samples)),
      others_(carve.take<int32_t>(int64_t(most_partitions(sets)) * samples)),
      whole_(carve.take<int32_t>(most_partitions(sets))),
      near_(carve.take<int32_t>(sets)),
      same_(carve.take<int32_t>(sets)),
      key_(carve.take<int64_t>(samples)),
      sorted_(carve.take<int64_t>(samples)) {}

Partition SnnlLabels::operator[](int partition) const {
    const int64_t first = int64_t(partition) * samples_;
    return {part_ + first, others_ + first, whole_[partition] != 0};
}

// The partition of the samples by key_. The number of a part is the index of its first key in sorted order.
int SnnlLabels::add_partition() {
    int32_t* part = part_ + int64_t(partitions_) * samples_;
    int32_t* others = others_ + int64_t(partitions_) * samples_;
    int64_t* const end = sorted_ + samples_;
    std::copy(key_, key_ + samples_, sorted_);
    std::sort(sorted_, end);
    for (int i = 0; i < samples_; ++i) {
        const auto [first, last] = std::equal_range(sorted_, end, key_[i]);
        part[i] = int32_t(first - sorted_);
        others[i] = key_[i] == kUnknown ? 0 : int32_t(last - first) - 1;
    }
    whole_[partitions_] = sorted_[0] == end[-1];
    return partitions_++;
}

bool SnnlLabels::equal(int a, int b) const {
    const int32_t *p = part_ + int64_t(a) * samples_, *q = part_ + int64_t(b) * samples_;
    const int32_t *m = others_ + int64_t(a) * samples_, *n = others_ + int64_t(b) * samples_;
    return std::equal(p, p + samples_, q) && std::equal(m, m + samples_, n);
}

void SnnlLabels::fill(const int32_t* labels, const int32_t* strata) {
    partitions_ = 0;
    for (int set = 0; set < sets_; ++set) {
        const int32_t* label = labels + int64_t(set) * samples_;
        const auto keys = [&](bool of_label) {
            for (int i = 0; i < samples_; ++i)
                key_[i] = label[i] < 0 ? kUnknown : key(strata ? strata[i] : 0, of_label ? label[i] : 0);
        };
        keys(true);
        same_[set] = add_partition();
        keys(false);
        const int near = add_partition();
        near_[set] = near;
        for (int earlier = 0; earlier < set && near_[set] == near; ++earlier)
            if (equal(near_[earlier], near)) near_[set] = near_[earlier];
        if (near_[set] != near) --partitions_;  // an equal one exists: the new one is dropped
    }
}

}  // namespace fp::cpu
