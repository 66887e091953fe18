// Which pairs of samples count, for any number of label sets. Each set needs two sums over the other samples: over the
// near ones (with a known label, of the same stratum) and over those that also have the same label. Both are "the other
// samples of my part" in a partition of the samples. Sets with the same unknown labels share the partition for near
// samples.
#pragma once

#include <cstdint>

#include "kernels/cpu/carve.h"

namespace fp::cpu {

struct Partition {
    const int32_t* part;    // of each sample; a pair counts if the parts are equal
    const int32_t* others;  // how many other samples are in the sample's part; 0 where its label is unknown
    bool whole;             // there is only one part
};

class SnnlLabels {
public:
    // Takes its arrays from `carve`; fill() computes them.
    SnnlLabels(int samples, int sets, Carve& carve);
    // labels (sets, samples), -1 = unknown; strata (samples) or null
    void fill(const int32_t* labels, const int32_t* strata);

    int partitions() const { return partitions_; }
    static int most_partitions(int sets) { return 2 * sets; }
    Partition operator[](int partition) const;
    int near(int set) const { return near_[set]; }
    int same(int set) const { return same_[set]; }

private:
    int add_partition();
    bool equal(int a, int b) const;

    int samples_, sets_, partitions_ = 0;
    int32_t *part_, *others_, *whole_, *near_, *same_;
    int64_t *key_, *sorted_;
};

}  // namespace fp::cpu
