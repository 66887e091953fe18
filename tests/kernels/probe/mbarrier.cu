// Barriers in shared memory: when a phase counts as over, by arrivals and by bytes.
#include "tests/kernels/probe/hopper_probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kSteps = 16, kBytes = 8 * 128;

// One thread asks after each step whether the phase of parity 0 and of parity 1 is over: bits 0 and 1 of a word.
__global__ void phases_kernel(const __grid_constant__ TensorMap map, uint32_t* out) {
    DYN_SHARED(unsigned char, bytes);
    auto* b = reinterpret_cast<Mbarrier*>(bytes + 1024);
    if (thread_index() != 0) return;
    int step = 0;
    const auto note = [&] { out[step++] = uint32_t(mbarrier_test(b, 0)) | uint32_t(mbarrier_test(b, 1)) << 1; };
    mbarrier_init(b, 3);
    mbarrier_init_fence();
    note();  // before the first phase parity 1 counts as complete
    mbarrier_arrive(b);
    note();
    mbarrier_arrive(b);
    note();
    mbarrier_arrive(b);
    note();  // the first phase is complete
    mbarrier_arrive_expect(b, kBytes);
    mbarrier_arrive(b);
    note();
    mbarrier_arrive(b);
    note();  // all arrivals have come, the bytes have not
    tensor_load_3d(bytes, map, 0, 0, 0, b);
    out[step++] = phase_ends(b, 1);
    note();  // the second phase is complete; the third has parity 0
    mbarrier_arrive_expect(b, kBytes);
    tensor_load_3d(bytes, map, 0, 0, 0, b);
    mbarrier_arrive(b);
    note();
    mbarrier_arrive_expect(b, kBytes);
    tensor_load_3d(bytes, map, 0, 0, 0, b);
    out[step++] = phase_ends(b, 0);
    note();
    while (step < kSteps) out[step++] = 0;
}

}  // namespace

void add_mbarrier_probes(std::vector<Probe>& list) {
    list.push_back(
        {.name = "mbarrier_phases", .run = [](const Memory& memory) {
             const Given<bf16> in(memory, bf16_numbers(8 * 64, 9));
             const TensorMap map =
                 encode({.base = in.data(), .rank = 3, .size = {64, 1, 8}, .stride = {1, 64, 64}, .box = {64, 1, 8}});
             const Wanted out(memory, {{"step", kSteps}});
             launch(phases_kernel, {.threads = 32, .shared_bytes = 2048}, {}, map, out.data());
             return out.output();
         }});
}

}  // namespace fp::FP_MACHINE
