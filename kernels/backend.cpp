// The one place that knows which devices exist.
#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp {

// One line per backend. Those this build leaves out answer null from kernels/none/.
namespace reference {
const Kernels* find();
const Kernels* find_f64();
const Kernels* find_blocked();
}  // namespace reference
namespace cpu {
const Kernels* find();
}
namespace cuda {
const Kernels* find();
}
namespace cudnn {
const Kernels* find();
}
namespace emulated {
const Kernels* find();
}

std::string_view name(Backend backend) {
    switch (backend) {
        case Backend::reference:
            return "reference";
        case Backend::reference_f64:
            return "reference_f64";
        case Backend::reference_blocked:
            return "reference_blocked";
        case Backend::cpu:
            return "cpu";
        case Backend::cuda:
            return "cuda";
        case Backend::cudnn:
            return "cudnn";
        case Backend::emulated:
            return "emulated";
    }
    return "?";
}

const Kernels* find_kernels(Backend backend) {
    switch (backend) {
        case Backend::reference:
            return reference::find();
        case Backend::reference_f64:
            return reference::find_f64();
        case Backend::reference_blocked:
            return reference::find_blocked();
        case Backend::cpu:
            return cpu::find();
        case Backend::cuda:
            return cuda::find();
        case Backend::cudnn:
            return cudnn::find();
        case Backend::emulated:
            return emulated::find();
    }
    return nullptr;
}

const Kernels& kernels(Backend backend) {
    const Kernels* table = find_kernels(backend);
    FP_REQUIRE(table, Exit::device, "device ", name(backend),
               " is not on this machine, or not in this build");
    return *table;
}

}  // namespace fp
