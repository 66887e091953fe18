// Words of a `conv` or `snnl` line that choose a kernel, a tile, blocks or parts in the rule's place, for tuning on a card.
#pragma once

#include <string_view>

#include "kernels/cuda/plan/conv_choice.h"
#include "kernels/cuda/plan/snnl_plan.h"

namespace fp {

// What is forced while this lives.
class Forced {
public:
    explicit Forced(const ConvForced& choice) { conv_forced() = choice; }
    explicit Forced(const SnnlForced& choice) { snnl_forced() = choice; }
    ~Forced() {
        conv_forced() = {};
        snnl_forced() = {};
    }
    Forced(const Forced&) = delete;
    Forced& operator=(const Forced&) = delete;
};

// A word of the line, such as "tile=192x256" or "kernel=stream". Exit::usage where it is none.
void force(ConvForced&, std::string_view word);
void force(SnnlForced&, std::string_view word);

}  // namespace fp
