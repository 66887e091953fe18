// Feature maps that lie by samples on the ranks, exchanged so that they lie by channels.
#pragma once

#include <vector>

#include "engine/core/memory.h"
#include "engine/parallel/comm.h"
#include "kernels/kernels.h"

namespace fp {

// The channels of a layer that a rank has, as a map of as many samples as `whole`: a range of neighbours, of whole blocks
// of Kernels::block(1) channels. With fewer blocks than ranks some have none.
Map shard_of(const Kernels&, const Map& whole, int rank, int ranks);

// Maps (S, C', H, W) of this rank's channels for the samples of all ranks, in rank order, from `mine`: maps (n, C, H, W)
// of all channels for this rank's n samples. `samples`: n of each rank, S their sum. Every rank calls this.
//
// Through the host's memory, in one exchange: a rank sends each other one most(samples) most(C') H W values, padding of
// channels included. Divided evenly, that is (N - 1) / N^2 of all that the maps of S samples hold.
Buffer to_channel_shards(
    const Comm&, const Kernels&, const Map& whole, const Buffer& mine, const std::vector<int64_t>& samples);

}  // namespace fp
