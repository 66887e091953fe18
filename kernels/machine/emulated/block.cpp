#include "kernels/machine/emulated/block.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>

#include "kernels/error.h"
#include "kernels/machine/emulated/context.h"
#include "kernels/machine/emulated/sanitizers.h"

namespace fp::emulated {
namespace {

constexpr size_t kGuard = 4096;
constexpr size_t kStack = 128 << 10;  // AddressSanitizer's frames are large
constexpr int kRegisters = 64 << 10;  // per multiprocessor

thread_local Block* running_block = nullptr;
std::atomic<uint64_t> generations{0};

}  // namespace

FP_UNTRACED std::string text_of(const Place& at) {
    const std::string path = at.file_name();
    return text(path.substr(path.rfind('/') + 1), ":", at.line());
}

Block::Block() {
    arena_ = static_cast<char*>(std::aligned_alloc(1024, kArena));
    FP_CHECK(arena_, "emulated machine: no memory");
}

Block::~Block() {
    release_stacks();
    unpoison(arena_, kArena);
    std::free(arena_);
    while (spare_) {
        Meeting* next = spare_->next;
        delete spare_;
        spare_ = next;
    }
}

Block& Block::running() { return *running_block; }

char* Block::stack_of(int thread) const { return stacks_ + size_t(thread) * (kGuard + kStack) + kGuard; }

FP_UNTRACED void Block::resume(int thread) {
    Thread& t = thread_[thread];
    current_ = thread;
    threadIdx = {unsigned(thread), 0, 0};
    if (under_asan()) __sanitizer_start_switch_fiber(&scheduler_asan_, stack_of(thread), kStack);
    if (under_tsan()) __tsan_switch_to_fiber(t.tsan_fiber, 1);
    switch_context(&scheduler_, t.context);
    if (under_asan()) __sanitizer_finish_switch_fiber(scheduler_asan_, nullptr, nullptr);
}

// Returns to the scheduler until it resumes this thread.
FP_UNTRACED void Block::give_way() {
    Thread& me = thread_[current_];
    published(&finished_);
    if (under_asan())
        __sanitizer_start_switch_fiber(me.state == State::done ? nullptr : &me.asan_stack, scheduler_bottom_,
                                       scheduler_bytes_);
    if (under_tsan()) __tsan_switch_to_fiber(scheduler_tsan_, 1);
    switch_context(&me.context, scheduler_);
    if (under_asan()) __sanitizer_finish_switch_fiber(me.asan_stack, &scheduler_bottom_, &scheduler_bytes_);
}

FP_UNTRACED void Block::enter() { running_block->enter_thread(); }

FP_UNTRACED void Block::enter_thread() {
    if (under_asan()) __sanitizer_finish_switch_fiber(nullptr, &scheduler_bottom_, &scheduler_bytes_);
    observed(&started_);
    try {
        body_(call_);
    } catch (const std::exception& e) {
        if (!stopped_) error_ = e.what();
        stopped_ = true;  // which ends the scheduler's loop
    }
    thread_[current_].state = State::done;
    --live_;
    if (live_ == 0 && !tensor_copies_.empty() && !stopped_) {
        error_ = text("the block has left with ", tensor_copies_.size(), " tensor copies on their way");
        stopped_ = true;
    }
    give_way();
    std::abort();  // the scheduler does not resume a thread that is done
}

void Block::stop(const std::string& why) { throw Error(why); }

FP_UNTRACED void Block::make_ready(int thread) {
    thread_[thread].state = State::ready;
    ready_[ready_end_++ & ready_mask_] = thread;
}

FP_UNTRACED uint64_t Block::draw() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
}

FP_UNTRACED int Block::next_ready() {
    if (random_) {
        const uint32_t pick = ready_first_ + uint32_t(draw() % (ready_end_ - ready_first_));
        std::swap(ready_[pick & ready_mask_], ready_[ready_first_ & ready_mask_]);
    }
    return ready_[ready_first_++ & ready_mask_];
}

FP_UNTRACED void Block::release_stacks() {
    for (int i = 0; i < capacity_; ++i)
        if (thread_[i].tsan_fiber) __tsan_destroy_fiber(thread_[i].tsan_fiber);
    if (stacks_) munmap(stacks_, size_t(capacity_) * (kGuard + kStack));
}

FP_UNTRACED void Block::reserve(int threads) {
    if (capacity_ >= threads) return;
    release_stacks();
    capacity_ = threads;
    thread_ = std::make_unique<Thread[]>(threads);
    const size_t bytes = size_t(capacity_) * (kGuard + kStack);
    void* stacks = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FP_CHECK(stacks != MAP_FAILED, "emulated machine: no memory for ", threads, " stacks");
    stacks_ = static_cast<char*>(stacks);
    for (int i = 0; i < capacity_; ++i)
        FP_CHECK(mprotect(stack_of(i) - kGuard, kGuard, PROT_NONE) == 0, "emulated machine: no guard page for stack ",
                 i);
    uint32_t ring = 64;
    while (ring < uint32_t(threads)) ring *= 2;
    ready_ = std::make_unique<int[]>(ring);
    ready_mask_ = ring - 1;
    meetings_ = std::make_unique<Meeting*[]>(threads / 32 + 1);
    meeting_order_ = std::make_unique<char[]>(threads / 32 + 1);
}

FP_UNTRACED void Block::prepare(int threads, uint64_t seed) {
    reserve(threads);
    generation_ = ++generations;
    random_ = seed ? seed * 0x9E3779B97F4A7C15u | 1 : 0;
    error_.clear();
    stopped_ = false;
    mbarriers_.clear();
    tensor_copies_.clear();
    // The most registers per thread that the compiler can give a block that runs alone on a multiprocessor.
    const int registers = std::min(256, kRegisters / ((threads + 31) / 32 * 32) / 8 * 8);
    warps_.assign(size_t(threads + 31) / 32, {.registers = registers});
    register_pool_ = 0;
    elected_ = random_ ? int(draw() % 32) : 0;
    threads_ = live_ = threads;
    ready_first_ = ready_end_ = 0;
    for (Barrier& b : barriers_) b.arrived = 0;
    for (int w = 0; w <= threads / 32; ++w) {
        while (Meeting* m = meetings_[w]) {  // left over from a block that was stopped
            meetings_[w] = m->next;
            m->next = spare_;
            spare_ = m;
        }
    }
    if (under_tsan()) scheduler_tsan_ = __tsan_get_current_fiber();
    for (int i = 0; i < threads; ++i) {
        Thread& t = thread_[i];
        t.waited = t.leaves = false;
        t.copy_group = 0;
        t.copies.clear();
        t.product_group = 0;
        t.products_fenced = false;
        t.products.clear();
        t.held.clear();
        t.asan_stack = nullptr;
        if (under_tsan() && !t.tsan_fiber) t.tsan_fiber = __tsan_create_fiber(0);
        unpoison(stack_of(i), kStack);
        const size_t skew = size_t(i % 16) * 64;  // without it all stacks would share a few cache sets
        t.context = make_context(stack_of(i), kStack - skew, enter);
        make_ready(i);
    }
    published(&started_);
}

void Block::begin(const Start& start, std::vector<Block*> cluster, int rank) {
    body_ = start.body;
    call_ = start.call;
    index_ = start.index;
    seed_ = start.seed;
    cluster_ = std::move(cluster);
    rank_ = rank;
    early_ = start.early;
    any_waited_ = false;
    prepare(start.threads, start.seed);
    start_shared(start.dynamic_bytes);
}

bool Block::advance() {
    running_block = this;
    blockIdx = index_;
    published(&started_);
    for (int i = 0; i < threads_; ++i)
        if (thread_[i].state == State::cluster) make_ready(i);

    // Tensor copies complete at random times, at the latest when all threads wait.
    while (!stopped_ && (ready_first_ != ready_end_ || !tensor_copies_.empty())) {
        const bool all_wait = ready_first_ == ready_end_;
        if (all_wait || (!tensor_copies_.empty() && random_ && draw() % 16 == 0)) {
            const size_t which = random_ ? draw() % tensor_copies_.size() : 0;
            if (all_wait || !tensor_copies_[which].at_the_last_moment) run_tensor_copy(which);
        } else {
            resume(next_ready());
        }
    }
    observed(&finished_);
    if (all_wait_at_cluster()) return false;
    end();
    return true;
}

void Block::end() {
    if (error_.empty() && live_)
        error_ = text("deadlock: ", threads_ - live_, " of ", threads_, " threads have left, ", barriers_[0].arrived,
                      " wait at the block's barrier", where_they_wait());
    if (error_.empty() && early_ && !any_waited_)
        error_ = "the block has left without waiting for the kernels in front";
    if (error_.empty()) check_warpgroups();
    if (error_.empty()) check_zones();
    running_block = nullptr;
    ++counted.blocks;
    if (!error_.empty()) fail("block (", index_.x, ",", index_.y, ",", index_.z, "), seed ", seed_, ": ", error_);
}

std::string Block::where_they_wait() const {
    std::string all;
    int told = 0;
    for (int i = 0; i < threads_ && told < 6; ++i) {
        const Thread& t = thread_[i];
        if (t.state == State::done) continue;
        std::ostringstream more;
        if (t.state == State::meeting) more << " of lanes 0x" << std::hex << t.mask;
        if (t.state == State::mbarrier) more << missing_at(t.waits_for);
        all += text("\n  thread ", i, " waits at ", text_of(t.at), ", ",
                    t.state == State::meeting     ? "a warp operation"
                    : t.state == State::cluster   ? "the cluster's barrier"
                    : t.state == State::mbarrier  ? "an mbarrier"
                    : t.state == State::registers ? "registers that no warp gives back"
                                                  : "a barrier",
                    more.str());
        ++told;
    }
    return all;
}

}  // namespace fp::emulated
