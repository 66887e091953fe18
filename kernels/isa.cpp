#include "kernels/isa.h"

#include <cstdlib>

#include "kernels/error.h"
#include "kernels/host_table.h"

extern "C" {  // cmake/host.cmake
#ifdef __x86_64__
extern const fp::HostTable fp_host_table_v2, fp_host_table_v3, fp_host_table_v4;
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
};

// Best first.
std::vector<Isa> all() {
#ifdef __x86_64__
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return {
        {"x86-64-v4", v4, fp_host_table_v4}, {"x86-64-v3", v3, fp_host_table_v3}, {"x86-64-v2", v2, fp_host_table_v2}};
#else
    return {{"baseline", true, fp_host_table_baseline}};
#endif
}

Isa pick() {
    const char* const wanted = std::getenv("FP_CPU_ISA");
    for (const Isa& isa : all()) {
        if (!wanted && isa.here) return isa;
        if (!wanted || !isa.name.ends_with(wanted)) continue;
        FP_REQUIRE(isa.here, Exit::device, "FP_CPU_ISA=", wanted, ": this processor has no ", isa.name);
        return isa;
    }
    FP_REQUIRE(!wanted, Exit::usage, "FP_CPU_ISA=", wanted, " is none of v2, v3, v4");
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
