// One block of a kernel, run on one thread of the host. Each CUDA thread of the block is a context; contexts are
// switched at barriers and warp operations, in an order drawn from a seed. Shared memory starts as NaN, between red
// zones. One of the faults below stops the block, and launch() throws an Error with file and line.
//
//   a barrier that not all threads reach, or that they reach at different lines      any deadlock
//   a warp operation whose lanes disagree about mask, kind or line         a lane that is not in its own mask
//   a misaligned vector access                                             shared memory written past an array
//   more shared memory than an H200 block can have                         stack overflow (a crash: guard pages)
//   what Hopper's units do not allow (hopper.cpp)        a global access before wait_for_kernels_in_front()
//
// The blocks of a cluster take turns on one host thread: each runs until all its threads wait at the cluster's barrier.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/machine/emulated/sanitizers.h"
#include "kernels/machine/emulated/settings.h"
#include "kernels/machine/tensor_map.h"

namespace fp::emulated {

// A line of a kernel's source. (std::source_location, for compilers that lack it.)
class Place {
public:
    static constexpr Place current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        Place here;
        here.file_ = file;
        here.line_ = line;
        return here;
    }
    FP_UNTRACED constexpr const char* file_name() const { return file_; }
    FP_UNTRACED constexpr int line() const { return line_; }

private:
    const char* file_ = "";
    int line_ = 0;
};

std::string text_of(const Place&);  // file:line, without folders

// The 128-byte swizzle: XORs the number of a 16-byte chunk with that of its 128-byte row modulo 8, counted from row
// `base` on.
constexpr uint32_t swizzled(uint32_t address, uint32_t base = 0) {
    return address ^ ((((address >> 7) - base) & 7) << 4);
}

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

// CUDA's built-in variables, for the CUDA thread that runs at present.
inline thread_local Index threadIdx, blockIdx, blockDim, gridDim;

// The address of a kernel's shared array in the block that runs at present.
struct SharedSite {
    char* at = nullptr;
    uint64_t block = 0;
};

using Body = void (*)(void* call);

class Block {
public:
    Block();
    ~Block();
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    static Block& running();

    struct Start {
        Body body;
        void* call;
        Index index;
        int threads;
        size_t dynamic_bytes;
        uint64_t seed;
        bool early;  // Grid::early
    };
    // `cluster`: the blocks of this block's cluster, which all begin before the first of them runs.
    void begin(const Start&, std::vector<Block*> cluster, int rank);
    // Runs the block until it has left (true), or all its threads that have not wait at the cluster's barrier (false).
    bool advance();

    // The following functions are called by the block's CUDA threads.

    void barrier(int id, int threads, const Place& at);

    // A warp operation: all lanes of `mask` contribute `bytes`; each can then read what the others contributed.
    struct Meeting {
        unsigned mask, arrived, left;
        int operation;
        Place at;
        Meeting* next;
        alignas(16) char brought[32][32];
    };
    Meeting& meet(unsigned mask, int operation, const void* mine, int bytes, const Place& at);
    void leave(Meeting&);
    FP_UNTRACED int lane() const { return current_ % 32; }
    void whole_warp(const char* operation, const Place& at);  // stops in an incomplete last warp
    FP_UNTRACED int elected_lane() const { return elected_; }
    // setmaxnreg: gives the warp `count` registers per thread, and waits until the block's pool has enough.
    void set_registers(int count, bool take, const Place& at);

    void* shared(SharedSite&, size_t bytes, const Place& at);
    FP_UNTRACED char* dynamic_shared() const { return dynamic_; }

    // Clusters: the barrier of all their blocks, and what another one's shared memory has at the address `own`.
    FP_UNTRACED int cluster_rank() const { return rank_; }
    void wait_cluster(const Place& at);
    void leave_cluster(const Place& at);  // the last barrier, which orders no memory
    const void* shared_of(int rank, const void* own, const Place& at);

    // Kernels that begin early: a thread accesses global memory only after it has waited for the kernels in front.
    FP_UNTRACED void access_global(const Place& at) {
        const Thread& me = thread_[current_];
        if (me.leaves || (early_ && !me.waited)) refuse_global(at);
    }
    void wait_for_kernels();

    // Asynchronous copies into shared memory. A null source writes zeros.
    void copy_async(void* to, const void* from, int bytes);
    void commit_copies();
    void wait_copies(int groups_in_flight);

    // Mbarriers (hopper.cuh); `word` is in the kernel's shared memory.
    void init_mbarrier(uint64_t* word, int arrivals, const Place& at);
    void fence_mbarriers();
    void arrive_mbarrier(uint64_t* word, int bytes, const Place& at);
    void wait_mbarrier(uint64_t* word, int parity, const Place& at);
    bool test_mbarrier(uint64_t* word, int parity, const Place& at);

    // Copies by the tensor memory accelerator, which complete at any time and in any order, and its view of shared
    // memory.
    struct TensorCopy {
        void* to;
        TensorMapSpec map;
        int64_t first[TensorMapSpec::kMostRank];
        int offset[2];
        uint64_t* barrier;
        bool at_the_last_moment = false;  // only when all threads wait; otherwise at any time
    };
    void copy_tensor(TensorCopy, const Place& at);
    void fence_async();
    uint32_t shared_address(const void* p) const;

    // Products of a warpgroup: d (64 x columns) = or += the lines of a times those of b. Computed when they are waited
    // for; until then d is NaN.
    struct Lines {  // an operand: lines of 16 numbers, along rows of shared memory or (transposed) across them
        uint64_t descriptor;
        bool transposed;
    };
    struct Product {
        float* d;
        Lines a, b;
        int columns;
        bool accumulate;
        bool half;  // of fp16, else bf16
        int group = 0;
    };
    void fence_products();
    void multiply(Product, const Place& at);
    void commit_products();
    void wait_products(int groups_in_flight);
    // Stops the block if products in flight still write any of these accumulators.
    void check_settled(const float* first, const float* end, const Place& at);

    [[noreturn]] void stop(const std::string& why);  // ends the block with an Error

    Counters counted;
    FP_UNTRACED void count_load(size_t bytes) { counted.bytes_loaded += bytes; }
    FP_UNTRACED void count_store(size_t bytes) { counted.bytes_stored += bytes; }
    FP_UNTRACED void count_matrix_product(double flops) {
        ++counted.matrix_products;
        counted.matrix_flops += flops;
    }

private:
    static constexpr size_t kArena = 512 << 10;

    enum class State : uint8_t { ready, barrier, meeting, mbarrier, registers, cluster, done };
    struct Copy {
        void* to;
        const void* from;
        int bytes, group;
    };
    struct Mbarrier {
        const uint64_t* word;
        int expected, pending;
        int64_t bytes = 0;
        int phase = 0;
        bool fenced = false;
    };
    struct Held {  // the values of accumulators with products in flight, while the kernel sees NaN
        float* d;
        std::vector<float> sums;
    };
    struct Warp {
        int registers = 0;  // per thread
        int changes = 0;    // setmaxnreg instructions so far
        int64_t products = 0;
    };
    struct Thread {
        void* context = nullptr;
        State state = State::done;
        int barrier_id = 0;
        unsigned mask = 0;
        Place at;
        bool waited = false;  // for the kernels in front
        bool leaves = false;  // its cluster: it may touch no memory
        int copy_group = 0;
        std::vector<Copy> copies;
        int product_group = 0;
        bool products_fenced = false;
        std::vector<Product> products;
        std::vector<Held> held;  // one per d of the products in flight
        const uint64_t* waits_for = nullptr;
        void* asan_stack = nullptr;
        void* tsan_fiber = nullptr;
    };
    struct Barrier {
        int arrived = 0, expected = 0, passed = 0;
        Place at;
        char order[2];  // ThreadSanitizer's objects for alternate passes
    };
    struct Zone {  // a red zone: nothing may be written here
        char* from;
        size_t bytes;
        Place array;
    };

    static void enter();
    void enter_thread();
    void resume(int thread);
    void give_way();
    void make_ready(int thread);
    int next_ready();
    void reserve(int threads);
    void release_stacks();
    void prepare(int threads, uint64_t seed);
    bool all_wait_at_cluster() const;
    [[noreturn]] void refuse_global(const Place& at);
    void end();
    void start_shared(size_t dynamic_bytes);
    void release(Barrier&, int id);
    void check_zones();
    void check_warpgroups();
    char* take_shared(size_t bytes, const Place& at);
    char* stack_of(int thread) const;
    std::string where_they_wait() const;
    std::string missing_at(const uint64_t* mbarrier) const;  // the arrivals and bytes that its phase lacks
    uint64_t draw();
    Mbarrier& mbarrier(const uint64_t* word, const Place& at);
    void end_phase(Mbarrier&);
    char* async_view(uint32_t address);
    void run_tensor_copy(size_t which);
    template <class Element>
    void read_line(const Lines&, int line, float (&values)[16]);
    void run_product(const Product&, float* d);
    std::vector<float>& held(float* d);

    Body body_ = nullptr;
    void* call_ = nullptr;
    Index index_;
    std::vector<Block*> cluster_;
    int rank_ = 0;
    char cluster_order_ = 0;  // ThreadSanitizer's object for the barrier of the cluster whose first block this is
    bool early_ = false, any_waited_ = false;
    uint64_t seed_ = 0;
    int threads_ = 0, live_ = 0, current_ = 0;
    uint64_t random_ = 1, generation_ = 0;
    bool stopped_ = false;
    std::string error_;  // why it was stopped

    std::unique_ptr<Thread[]> thread_;
    int capacity_ = 0;
    char* stacks_ = nullptr;
    void* scheduler_ = nullptr;
    void* scheduler_asan_ = nullptr;
    void* scheduler_tsan_ = nullptr;
    const void* scheduler_bottom_ = nullptr;
    size_t scheduler_bytes_ = 0;
    char started_ = 0, finished_ = 0;

    std::unique_ptr<int[]> ready_;  // a ring
    uint32_t ready_mask_ = 0, ready_first_ = 0, ready_end_ = 0;

    Barrier barriers_[16];
    std::vector<Warp> warps_;
    int register_pool_ = 0;  // registers given back and not yet taken, per thread of a warp
    int elected_ = 0;
    std::unique_ptr<Meeting*[]> meetings_;  // warp operations in progress, by warp
    std::unique_ptr<char[]> meeting_order_;
    Meeting* spare_ = nullptr;

    char* arena_ = nullptr;
    size_t arena_used_ = 0, shared_bytes_ = 0;
    char* dynamic_ = nullptr;
    size_t dynamic_bytes_ = 0;

    std::vector<Mbarrier> mbarriers_;
    std::vector<TensorCopy> tensor_copies_;  // started and not completed
    std::vector<char> view_;                 // the arena as the asynchronous units see it
    uint64_t view_block_ = 0;
    Zone zones_[64];  // an array, because ThreadSanitizer would trace the inside of a vector
    int zone_count_ = 0;
};

}  // namespace fp::emulated
