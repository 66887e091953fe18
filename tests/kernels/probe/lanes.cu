// Exchanges between the lanes of a warp: shuffles and votes, with the full mask and with part of it.
#include "tests/kernels/probe/probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kGames = 10;

__global__ void lanes_kernel(const uint32_t* in, uint32_t* out) {
    const int t = thread_index(), l = lane_index();
    const uint32_t v = ldg(in + t);
    uint32_t game[kGames];
    game[0] = shuffle(v, int(v % 32));
    game[1] = shuffle(v, (l * 7 + 3) % 32);
    game[2] = shuffle_xor(v, 1);
    game[3] = shuffle_xor(v, 21);
    game[4] = shuffle_down(v, 1);  // the last lane gets its own value
    game[5] = shuffle_down(v, 19);
    game[6] = ballot(v & 1);
    game[7] = ballot(int(v) < 0);
    if (l < 12) {
        game[8] = shuffle_xor(v, 3, 0x00000fffu);
        game[9] = ballot(v & 2, 0x00000fffu);
    } else {
        game[8] = shuffle_xor(v, 2, 0xfffff000u);
        game[9] = ballot(v & 4, 0xfffff000u);
    }
    UNROLL
    for (int i = 0; i < kGames; ++i) out[t * kGames + i] = game[i];
}

}  // namespace

void add_lane_probes(std::vector<Probe>& list) {
    list.push_back({.name = "shuffle_and_ballot", .run = [](const Memory& memory) {
                        constexpr int kThreads = 96;
                        const Given<uint32_t> in(memory, probe_words(kThreads, 1));
                        const Wanted out(memory, {{"thread", kThreads}, {"game", kGames}});
                        launch(lanes_kernel, {.threads = kThreads}, {}, in.data(), out.data());
                        return out.output();
                    }});
}

}  // namespace fp::FP_MACHINE
