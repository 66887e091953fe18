// Probes: small kernels, each of which drives one primitive of the machine layer with seeded data. Their bodies stand
// on the machine layer, so the same ones run on a GPU and on the emulated machine. What they gave on a GPU is
// recorded once (recording.h); a test holds the emulated machine to it from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace fp {

// What a probe gives: 32-bit words, or float32 by their bits.
struct ProbeOutput {
    struct Axis {
        std::string name;
        int64_t size;
        bool operator==(const Axis&) const = default;
    };
    std::vector<Axis> shape;  // the last one runs fastest
    std::vector<uint32_t> words;

    std::string place(size_t word) const;  // "copy 2, row 5, word 3"
    bool operator==(const ProbeOutput&) const = default;
};

// How an output from a GPU is held to the emulated machine's.
enum class Held {
    bits,        // the same words
    relative,    // |got - want| <= tolerance max(|want|, the smallest normal number)
    to_largest,  // |got - want| <= tolerance max over all |want|
};

struct Probe {
    std::string name;
    Held held = Held::bits;
    double tolerance = 0;
    // False where no document says what a GPU gives and no kernel rests on it: it is recorded, and another GPU may give
    // something else. The emulated machine is held to what was recorded all the same.
    bool binding = true;
    std::function<ProbeOutput(const Memory&)> run;  // on the machine of its list

    bool floats() const { return held == Held::relative || held == Held::to_largest; }
};

namespace emulated {
const std::vector<Probe>& probes();
}
namespace cuda {
const std::vector<Probe>& probes();  // the same, for a GPU; none in a build without CUDA
}

// Seeded inputs: numbers about normal, and any bits.
std::vector<float> probe_numbers(size_t count, uint64_t seed);
std::vector<uint32_t> probe_words(size_t count, uint64_t seed);

// How `got` differs from `want`, in a sentence that names the first element that does, or "" where it is held.
std::string difference(const Probe&, const ProbeOutput& got, const ProbeOutput& want);

}  // namespace fp
