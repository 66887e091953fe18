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
const Kernels* find(Precision);
std::string why_missing();
void select_gpu(int index);
std::string gpu();
}  // namespace cuda
namespace cudnn {
const Kernels* find(Precision);
std::string plans();
}  // namespace cudnn
namespace onednn {
const Kernels* find();
}
namespace emulated {
const Kernels* find(Precision);
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
        case Backend::onednn:
            return "onednn";
        case Backend::cuda:
            return "cuda";
        case Backend::cudnn:
            return "cudnn";
        case Backend::emulated:
            return "emulated";
    }
    return "?";
}

std::string_view name(Precision precision) {
    switch (precision) {
        case Precision::f32:
            return "fp32";
        case Precision::tf32:
            return "tf32";
        case Precision::bf16:
            return "bf16";
    }
    return "?";
}

const Kernels* find_kernels(Backend backend, Precision precision) {
    const bool f32 = precision == Precision::f32;  // all that the host's backends compute in
    switch (backend) {
        case Backend::reference:
            return f32 ? reference::find() : nullptr;
        case Backend::reference_f64:
            return f32 ? reference::find_f64() : nullptr;
        case Backend::reference_blocked:
            return f32 ? reference::find_blocked() : nullptr;
        case Backend::cpu:
            return f32 ? cpu::find() : nullptr;
        case Backend::onednn:
            return f32 ? onednn::find() : nullptr;
        case Backend::cuda:
            return cuda::find(precision);
        case Backend::cudnn:
            return cudnn::find(precision);
        case Backend::emulated:
            return emulated::find(precision);
    }
    return nullptr;
}

const Kernels& kernels(Backend backend, Precision precision) {
    const Kernels* table = find_kernels(backend, precision);
    FP_REQUIRE(table || !find_kernels(backend), Exit::device, "device ", name(backend), " has no ", name(precision),
               " kernels");
    FP_REQUIRE(table, Exit::device, "device ", name(backend), ": ", why_missing(backend));
    return *table;
}

std::string why_missing(Backend backend) {
    const bool gpu = backend == Backend::cuda || backend == Backend::cudnn;
    const std::string why = gpu ? cuda::why_missing() : "";
    return why.empty() ? text(name(backend), " is not in this build") : why;
}

void select_gpu(int index) { cuda::select_gpu(index); }
std::string gpu() { return cuda::gpu(); }
std::string cudnn_plans() { return cudnn::plans(); }

}  // namespace fp
