#pragma once

#include "kernels/kernels.h"

namespace fp::testing {

struct ReplacedKernels {
    const Memory& memory;
    const StreamApi& streams;
    const Graph* graph;
    const Conv& conv;
};
// A table with other parts. Its members are references, so a copy cannot be changed.
inline Kernels kernels_with(const Kernels& k, const ReplacedKernels& other) {
    return {.name = k.name,
            .activation = k.activation,
            .parameter = k.parameter,
            .block = k.block,
            .image_block = k.image_block,
            .filter = k.filter,
            .memory = other.memory,
            .streams = other.streams,
            .graph = other.graph,
            .ranges = k.ranges,
            .conv = other.conv,
            .linear = k.linear,
            .batchnorm = k.batchnorm,
            .relu = k.relu,
            .add = k.add,
            .maxpool = k.maxpool,
            .avgpool = k.avgpool,
            .dropout = k.dropout,
            .loss = k.loss,
            .image = k.image,
            .optimizer = k.optimizer,
            .snnl = k.snnl};
}

}  // namespace fp::testing
