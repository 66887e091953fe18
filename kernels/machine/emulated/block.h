// One block of a kernel, run on one thread of the host: a context for each of its threads, switched at
// barriers and warp operations in an order drawn from a seed. Shared memory starts as NaN, between red
// zones. What a block does wrong (below) stops it and is thrown from launch() with file and line.
//
//   a barrier that not all threads reach, or reach at different lines      a deadlock of any kind
//   a warp operation whose lanes disagree about mask, kind or place        a lane outside its own mask
//   a misaligned vector access                                             shared memory written past an array
//   more shared memory than an H200 block can have                         an overrun stack (a crash: guard pages)
//   what the units of Hopper may not be asked (hopper.cpp)
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/machine/emulated/sanitizers.h"
#include "kernels/machine/emulated/settings.h"
#include "kernels/machine/tensor_map.h"

namespace fp::emulated {

// Where in a kernel something stands. (std::source_location, for compilers that lack it.)
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

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

// What a kernel reads of its place in the grid; right for the thread that runs now.
inline thread_local Index threadIdx, blockIdx, blockDim, gridDim;

// Where a shared array of a kernel lies in the block that runs now.
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

    void run(Body body, void* call, Index index, int threads, size_t dynamic_bytes, uint64_t seed);

    // From here on: what a thread of the block calls.

    void barrier(int id, int threads, const Place& at);

    // All lanes of `mask` bring `bytes` of their own; each then sees what the others brought.
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
    void whole_warp(const char* operation, const Place& at);  // stops in a last warp of fewer lanes
    FP_UNTRACED int elected_lane() const { return elected_; }
    // The warp has `count` registers a thread from here on, once the block's pool can give them.
    void set_registers(int count, bool take, const Place& at);

    void* shared(SharedSite&, size_t bytes, const Place& at);
    FP_UNTRACED char* dynamic_shared() const { return dynamic_; }

    // Asynchronous copies into shared memory. A null source writes zeros.
    void copy_async(void* to, const void* from, int bytes);
    void commit_copies();
    void wait_copies(int groups_in_flight);

    // Barriers that count bytes (hopper.cuh); `word` lies in the kernel's shared memory.
    void init_mbarrier(uint64_t* word, int arrivals, const Place& at);
    void fence_mbarriers();
    void arrive_mbarrier(uint64_t* word, int bytes, const Place& at);
    void wait_mbarrier(uint64_t* word, int parity, const Place& at);
    bool test_mbarrier(uint64_t* word, int parity, const Place& at);

    // Copies by the tensor memory unit, in any order at any time; and its view of shared memory.
    struct TensorCopy {
        void* to;
        TensorMapSpec map;
        int64_t first[TensorMapSpec::kMostRank];
        int offset[2];
        uint64_t* barrier;
        bool at_the_last_moment = false;  // when all threads wait, else at any time
    };
    void copy_tensor(TensorCopy, const Place& at);
    void fence_async();
    uint32_t shared_address(const void* p) const;

    // Products of a warpgroup: d (64 x columns) = or += lines of a times lines of b, when they are waited for. Till
    // then d is NaN.
    struct Lines {  // 16 numbers each, in rows of shared memory or across them
        uint64_t descriptor;
        bool transposed;
    };
    struct Product {
        float* d;
        Lines a, b;
        int columns;
        bool accumulate;
        int group = 0;
    };
    void fence_products();
    void multiply(Product, const Place& at);
    void commit_products();
    void wait_products(int groups_in_flight);
    // Stops where products in flight write any of these sums.
    void check_settled(const float* first, const float* end, const Place& at);

    [[noreturn]] void stop(const std::string& why);  // throws what ends the block

    Counters counted;
    FP_UNTRACED void count_load(size_t bytes) { counted.bytes_loaded += bytes; }
    FP_UNTRACED void count_store(size_t bytes) { counted.bytes_stored += bytes; }
    FP_UNTRACED void count_matrix_product(double flops) {
        ++counted.matrix_products;
        counted.matrix_flops += flops;
    }

private:
    enum class State : uint8_t { ready, barrier, meeting, mbarrier, registers, done };
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
    struct Held {  // what the sums of products in flight will be, while the kernel sees NaN
        float* d;
        std::vector<float> sums;
    };
    struct Warp {
        int registers = 0;  // of each thread
        int changes = 0;    // of their number
        int64_t products = 0;
    };
    struct Thread {
        void* context = nullptr;
        State state = State::done;
        int barrier_id = 0;
        unsigned mask = 0;
        Place at;
        int copy_group = 0;
        std::vector<Copy> copies;
        int product_group = 0;
        bool products_fenced = false;
        std::vector<Product> products;
        std::vector<Held> held;  // of the products in flight, one for each d
        const uint64_t* waits_for = nullptr;
        void* asan_stack = nullptr;
        void* tsan_fiber = nullptr;
    };
    struct Barrier {
        int arrived = 0, expected = 0, passed = 0;
        Place at;
        char order[2];  // ThreadSanitizer's two objects, taken in turns
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
    void prepare(int threads, uint64_t seed);
    void release(Barrier&, int id);
    void check_zones();
    void check_warpgroups();
    char* take_shared(size_t bytes, const Place& at);
    char* stack_of(int thread) const;
    std::string where_they_wait() const;
    std::string missing_at(const uint64_t* mbarrier) const;  // what its phase waits for
    uint64_t draw();
    Mbarrier& mbarrier(const uint64_t* word, const Place& at);
    void end_phase(Mbarrier&);
    char* async_view(uint32_t address);
    void run_tensor_copy(size_t which);
    void read_line(const Lines&, int line, float (&values)[16]);
    void run_product(const Product&, float* d);
    std::vector<float>& held(float* d);
    static size_t arena_bytes();

    Body body_ = nullptr;
    void* call_ = nullptr;
    Index index_;
    int threads_ = 0, live_ = 0, current_ = 0;
    uint64_t random_ = 1, generation_ = 0;
    bool stopped_ = false;
    std::string error_;  // why

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
    int register_pool_ = 0;  // given back and not taken, of all threads of a warp
    int elected_ = 0;
    std::unique_ptr<Meeting*[]> meetings_;  // open ones, by warp
    std::unique_ptr<char[]> meeting_order_;
    Meeting* spare_ = nullptr;

    char* arena_ = nullptr;
    size_t arena_used_ = 0, shared_bytes_ = 0;
    char* dynamic_ = nullptr;
    size_t dynamic_bytes_ = 0;

    std::vector<Mbarrier> mbarriers_;
    std::vector<TensorCopy> tensor_copies_;  // on their way
    std::vector<char> view_;                 // of the arena, as the asynchronous units see it
    uint64_t view_block_ = 0;
    Zone zones_[64];  // plain, since ThreadSanitizer would watch a vector's insides
    int zone_count_ = 0;
};

}  // namespace fp::emulated
