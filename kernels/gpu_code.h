// Which GPUs the code of a build can run on, and which generation of kernels a GPU is given. Compute
// capabilities are times 10: 75, 90, 120.
#pragma once

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace fp {

// One word of CMAKE_CUDA_ARCHITECTURES.
//
//   80-real     machine code: for capabilities of the same major number, from 8.0 on
//   90a-real    machine code for 9.0 alone; 100f-real for those of its major number, from 10.0 on
//   80-virtual  PTX, which the driver compiles for 8.0 and everything later; 90a-virtual for 9.0 alone
//   80          both
//   all         words without a number: which code nvcc generates is not known here; they count as code for every GPU
struct GpuCode {
    int capability = 0;  // 0: a word without a number
    char suffix = 0;     // a, f
    bool machine_code = true, ptx = true;

    explicit GpuCode(std::string_view word) {
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), capability);
        std::string_view rest = word.substr(size_t(end - word.data()));
        if (error != std::errc()) return;
        if (!rest.empty() && rest[0] != '-') {
            suffix = rest[0];
            rest.remove_prefix(1);
        }
        if (rest == "-real") ptx = false;
        if (rest == "-virtual") machine_code = false;
    }
    bool runs_on(int gpu) const {
        if (capability == 0) return true;
        if (suffix == 'a') return gpu == capability;
        const bool same_major = gpu / 10 == capability / 10;
        return gpu >= capability && (same_major || (ptx && suffix == 0));
    }
};

inline std::string capability_text(int capability) { return text(capability / 10, ".", capability % 10); }

// Why a GPU cannot run code that was built for `architectures`, with + between the words; empty where it
// can.
inline std::string why_no_code(int gpu, std::string_view architectures) {
    for (std::string_view rest = architectures; !rest.empty();) {
        const size_t end = std::min(rest.find('+'), rest.size());
        if (GpuCode(rest.substr(0, end)).runs_on(gpu)) return "";
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return text("it has compute capability ", capability_text(gpu), ", and this build has code for ", architectures);
}

// 90 for Hopper (wgmma, the tensor memory accelerator), 80 for every other GPU. `asked` is FP_CUDA_GENERATION, or null.
inline int kernel_generation(int gpu, const char* asked) {
    if (!asked) return gpu == 90 ? 90 : 80;
    const std::string_view word = asked;
    FP_REQUIRE(word == "80" || word == "90", Exit::usage, "FP_CUDA_GENERATION: `", word.substr(0, 32),
               "` is neither 80 nor 90");
    FP_REQUIRE(word == "80" || gpu == 90, Exit::usage, "FP_CUDA_GENERATION: this GPU has compute capability ",
               capability_text(gpu), ", and the kernels of 90 are for 9.0 alone");
    return word == "80" ? 80 : 90;
}

}  // namespace fp
