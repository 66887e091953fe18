// A thin network and batches of random images, for tests of whole training steps.
#pragma once

#include <vector>

#include "engine/data/loader.h"
#include "kernels/random.h"
#include "models/models.h"

namespace fp::testing {

constexpr int kSide = 8, kBatch = 4, kClasses = 3;

inline std::unique_ptr<Network> thin_network(const Kernels& k, const std::string& stem = "small") {
    auto net = models::build({.arch = "resnet18", .classes = kClasses, .stem = stem, .width = 0.03125}, k);
    net->initialize(1);
    return net;
}

struct Images {
    std::vector<uint8_t> rgb = std::vector<uint8_t>(kBatch * kSide * kSide * 3);
    Batch batch;
    explicit Images(int64_t number) {
        for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = uint8_t(mix(i + 1000 * uint64_t(number)));
        batch = {.n = kBatch, .rgb = rgb.data(), .number = number};
        for (int i = 0; i < kBatch; ++i) {
            batch.samples.push_back(i);
            batch.labels.push_back((i + int(number)) % kClasses);
        }
    }
};

}  // namespace fp::testing
