#include "engine/eval/channel_shards.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/error.h"

namespace fp {
namespace {

// Of one sample, padding included.
size_t bytes_each(const Kernels& k, const Map& m) {
    return size_t(m.stored_c()) * size_t(m.pixels()) * size_t(bytes_of(k.activation));
}

// Copies the channels from `first` on that `shard` has out of one sample of `whole`.
void take_shard(const Kernels& k, const Map& whole, const char* from, int first, const Map& shard, char* to) {
    const auto e = size_t(bytes_of(k.activation));
    if (shard.block == whole.block) {  // whole blocks, one behind another
        std::memcpy(to, from + size_t(first) * size_t(whole.pixels()) * e, bytes_each(k, shard));
        return;
    }
    FP_CHECK(whole.blocks() == 1 && shard.blocks() == 1, "channel shards: blocks of ", whole.block, " and ",
             shard.block, " channels");
    const size_t run = size_t(shard.block) * e, stride = size_t(whole.block) * e;
    for (int64_t pixel = 0; pixel < whole.pixels(); ++pixel)
        std::memcpy(to + size_t(pixel) * run, from + size_t(pixel) * stride + size_t(first) * e, run);
}

int first_channel(const Kernels& k, const Map& whole, int rank, int ranks) {
    const int unit = k.block(1);
    return int(share_of(ceil_div(whole.c, unit), rank, ranks).begin) * unit;
}

}  // namespace

Map shard_of(const Kernels& k, const Map& whole, int rank, int ranks) {
    const int unit = k.block(1);
    const int end = int(share_of(ceil_div(whole.c, unit), rank, ranks).end) * unit;
    Map out = whole;
    out.c = std::min(end, whole.c) - first_channel(k, whole, rank, ranks);
    out.block = out.c > 0 ? k.block(out.c) : unit;
    return out;
}

Buffer to_channel_shards(
    const Comm& ranks, const Kernels& k, const Map& whole, const Buffer& mine, const std::vector<int64_t>& samples) {
    const int n = ranks.ranks();
    std::vector<Map> shards;
    for (int r = 0; r < n; ++r) shards.push_back(shard_of(k, whole, r, n));
    size_t widest = 0;
    for (const Map& shard : shards) widest = std::max(widest, bytes_each(k, shard));
    const size_t part = widest * size_t(std::ranges::max(samples));

    std::vector<char> send(part * size_t(n)), receive(part * size_t(n));
    {
        const auto own = size_t(samples[size_t(ranks.rank())]);
        std::vector<char> host(own * bytes_each(k, whole));
        if (own > 0) k.memory.copy_out(host.data(), mine.data(), host.size(), {});
        for (int r = 0; r < n; ++r)
            for (size_t i = 0; i < own && shards[size_t(r)].c > 0; ++i)
                take_shard(k, whole, host.data() + i * bytes_each(k, whole), first_channel(k, whole, r, n),
                           shards[size_t(r)], send.data() + size_t(r) * part + i * bytes_each(k, shards[size_t(r)]));
    }
    ranks.exchange(kernels(Backend::reference), send.data(), receive.data(), part, {});
    const size_t each = bytes_each(k, shards[size_t(ranks.rank())]);
    Buffer out(k.memory,
               std::max<size_t>(each * size_t(std::accumulate(samples.begin(), samples.end(), int64_t(0))), 1));
    size_t at = 0;
    for (size_t r = 0; r < samples.size(); ++r) {
        const size_t bytes = each * size_t(samples[r]);
        if (bytes > 0) k.memory.copy_in(out.as<char>() + at, receive.data() + r * part, bytes, {});
        at += bytes;
    }
    k.memory.synchronize({});
    return out;
}

}  // namespace fp
