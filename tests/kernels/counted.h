// What the emulated machine counts of a call.
#pragma once

#include "kernels/machine/emulated/settings.h"
#include "tests/kernels/compare.h"

namespace fp::testing {

struct Counted {
    double bytes, matrix_flops;
};

template <class Call>
Counted counted(const Call& call) {
    emulated::reset_counters();
    call();
    const emulated::Counters c = emulated::counters();
    return {double(c.bytes_loaded + c.bytes_stored), c.matrix_flops};
}

inline const Kernels& emulated_kernels(Precision precision) { return kernels(Backend::emulated, precision); }

}  // namespace fp::testing
