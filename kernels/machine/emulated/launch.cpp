#include "kernels/machine/emulated/launch.h"

#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "kernels/error.h"

namespace fp::emulated {
namespace {

uint64_t number_from(const char* variable, uint64_t otherwise) {
    const char* given = std::getenv(variable);
    return given ? std::strtoull(given, nullptr, 10) : otherwise;
}

std::mutex mutex;  // guards the two below
std::vector<std::unique_ptr<Block>> idle;
Counters total;

// Blocks are reused, so that the pages of their stacks are touched once.
std::unique_ptr<Block> take_block() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<Block>();
    auto block = std::move(idle.back());
    idle.pop_back();
    return block;
}

void give_back(std::unique_ptr<Block> block) {
    const std::lock_guard lock(mutex);
    const Counters& c = block->counted;
    total.blocks += c.blocks;
    total.bytes_loaded += c.bytes_loaded;
    total.bytes_stored += c.bytes_stored;
    total.barriers += c.barriers;
    total.warp_operations += c.warp_operations;
    total.matrix_products += c.matrix_products;
    total.matrix_flops += c.matrix_flops;
    total.tensor_copies += c.tensor_copies;
    block->counted = {};
    idle.push_back(std::move(block));
}

constexpr int kMostCluster = 16;  // blocks, of an H100 or H200

// From barrier to barrier, the blocks in an order that the seed turns round.
void run_cluster(const std::vector<Block*>& members, uint64_t seed) {
    std::vector<char> left(members.size());
    for (size_t remaining = members.size(); remaining > 0; ++seed)
        for (size_t i = 0; i < members.size(); ++i) {
            const size_t rank = (i + seed) % members.size();
            if (left[rank] || !members[rank]->advance()) continue;
            left[rank] = 1;
            --remaining;
        }
}

}  // namespace

Settings& settings() {
    static Settings now{.seed = number_from("FP_EMULATED_SEED", 1),
                        .os_threads = int(number_from("FP_EMULATED_THREADS", 0)),
                        .deferred = number_from("FP_EMULATED_DEFERRED", 0) != 0};
    return now;
}

Counters counters() {
    const std::lock_guard lock(mutex);
    return total;
}

void reset_counters() {
    const std::lock_guard lock(mutex);
    total = {};
}

void run(const Grid& grid, Body body, void* call) {
    const int64_t blocks = grid.blocks * grid.blocks_y * grid.blocks_z;
    const std::string name = text(grid.at.file_name(), ":", grid.at.line(), ": ");
    FP_CHECK(grid.blocks > 0 && grid.blocks_y > 0 && grid.blocks_z > 0, name, "an empty grid");
    FP_CHECK(grid.blocks < int64_t(1) << 31 && grid.blocks_y < 65536 && grid.blocks_z < 65536, name, "a grid of ",
             grid.blocks, " x ", grid.blocks_y, " x ", grid.blocks_z);
    FP_CHECK(grid.threads > 0 && grid.threads <= 1024, name, grid.threads, " threads a block");
    FP_CHECK(grid.cluster > 0 && grid.cluster <= kMostCluster && grid.blocks % grid.cluster == 0, name, "clusters of ",
             grid.cluster, " in ", grid.blocks, " blocks");

    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr first;
    auto work = [&] {
        std::vector<std::unique_ptr<Block>> cluster;
        std::vector<Block*> members;
        for (int i = 0; i < grid.cluster; ++i) {
            cluster.push_back(take_block());
            members.push_back(cluster.back().get());
        }
        gridDim = {unsigned(grid.blocks), unsigned(grid.blocks_y), unsigned(grid.blocks_z)};
        blockDim = {unsigned(grid.threads), 1, 1};
        try {
            for (int64_t begin; !failed && (begin = next.fetch_add(grid.cluster)) < blocks;) {
                const uint64_t seed = settings().seed;
                for (int rank = 0; rank < grid.cluster; ++rank) {
                    const int64_t i = begin + rank;
                    const Index index{unsigned(i % grid.blocks), unsigned(i / grid.blocks % grid.blocks_y),
                                      unsigned(i / (grid.blocks * grid.blocks_y))};
                    members[size_t(rank)]->begin({.body = body,
                                                  .call = call,
                                                  .index = index,
                                                  .threads = grid.threads,
                                                  .dynamic_bytes = grid.shared_bytes,
                                                  .seed = seed ? seed + uint64_t(i) : 0,
                                                  .early = grid.early},
                                                 members, rank);
                }
                run_cluster(members, seed);
            }
        } catch (const Error& e) {
            if (!failed.exchange(true)) first = std::make_exception_ptr(Error(name + e.what()));
        }
        for (auto& block : cluster) give_back(std::move(block));
    };

    const int64_t clusters = blocks / grid.cluster;
    int workers = settings().os_threads;
    if (workers <= 0) workers = int(std::max(1u, std::thread::hardware_concurrency()));
    if (workers > clusters) workers = int(clusters);
    std::vector<std::thread> others;
    for (int i = 1; i < workers; ++i) others.emplace_back(work);
    work();
    for (std::thread& t : others) t.join();
    {
        const std::lock_guard lock(mutex);
        ++total.launches;
    }
    if (first) std::rethrow_exception(first);
}

}  // namespace fp::emulated
