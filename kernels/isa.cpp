#include "kernels/isa.h"

#include <cstdlib>
#include <string>

#include "kernels/error.h"
#include "kernels/host_table.h"

extern "C" {  // cmake/host.cmake
#if defined(__x86_64__)
extern const fp::HostTable fp_host_table_v2, fp_host_table_v3, fp_host_table_v4;
#elif defined(__aarch64__)
extern const fp::HostTable fp_host_table_neon;
#else
extern const fp::HostTable fp_host_table_baseline;
#endif
}

namespace fp {
namespace {

struct Isa {
    std::string_view name;
    bool here;
    const HostTable& table;
    std::string_view word() const { return name.substr(name.rfind('-') + 1); }
};

// Best first.
std::vector<Isa> all() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return {
        {"x86-64-v4", v4, fp_host_table_v4}, {"x86-64-v3", v3, fp_host_table_v3}, {"x86-64-v2", v2, fp_host_table_v2}};
#elif defined(__aarch64__)
    return {{"aarch64-neon", true, fp_host_table_neon}};
#else
    return {{"baseline", true, fp_host_table_baseline}};
#endif
}

Isa pick() {
    const char* wanted = std::getenv("FP_CPU_ISA");
    if (wanted && !*wanted) wanted = nullptr;
    std::string words;
    for (const Isa& isa : all()) {
        words += (words.empty() ? "" : ", ") + std::string(isa.word());
        if (!wanted && isa.here) return isa;
        if (!wanted || (isa.word() != wanted && isa.name != wanted)) continue;
        FP_REQUIRE(isa.here, Exit::device, "FP_CPU_ISA=", wanted, ": this processor has no ", isa.name);
        return isa;
    }
    FP_REQUIRE(!wanted, Exit::usage, "FP_CPU_ISA=", wanted, " is none of those of this build: ", words);
    fail("this processor has no SSE4.2, which every host kernel needs");
}

const Isa& host() {
    static const Isa isa = pick();
    return isa;
}

}  // namespace

std::string_view host_isa() { return host().name; }
int host_vector_bits() { return host().table.vector_bits; }

std::vector<std::string_view> host_isas() {
    std::vector<std::string_view> names;
    for (const Isa& isa : all())
        if (isa.here) names.push_back(isa.name);
    return names;
}

namespace cpu {
const Kernels* find() { return &host().table.kernels; }
}  // namespace cpu

ExecutedShare executed_share(const Kernels& k, const ConvShape& s, ConvPass pass) {
    if (&k != cpu::find()) return {};
    return host().table.executed(s, pass);
}

}  // namespace fp
