#include "kernels/machine/emulated/block.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <span>

#include "kernels/error.h"
#include "kernels/machine/emulated/context.h"
#include "kernels/machine/emulated/sanitizers.h"

namespace fp::emulated {
namespace {

constexpr size_t kGuard = 4096;
constexpr size_t kStack = 128 << 10;  // AddressSanitizer's frames are large
constexpr size_t kArena = 512 << 10;
constexpr size_t kRedZone = 128;
constexpr size_t kDynamicAlignment = 1024;
constexpr size_t kMostShared = 227 << 10;  // per block of an H100 or H200
constexpr size_t kMostStatic = 48 << 10;   // the most without opting in
constexpr int kRegisters = 64 << 10;       // per multiprocessor

thread_local Block* running_block = nullptr;
std::atomic<uint64_t> generations{0};

FP_UNTRACED std::string text_of(const Place& at) {
    const std::string path = at.file_name();
    return text(path.substr(path.rfind('/') + 1), ":", at.line());
}

// ThreadSanitizer intercepts memcpy and memset even in untraced functions, but not these loops.
FP_UNTRACED void copy_bytes(void* to, const void* from, size_t bytes) {
    auto* t = static_cast<volatile char*>(to);
    auto* f = static_cast<const volatile char*>(from);
    for (size_t i = 0; i < bytes; ++i) t[i] = f[i];
}
FP_UNTRACED void fill_with_nan(char* at, size_t bytes) {
    auto* words = reinterpret_cast<volatile uint64_t*>(at);
    for (size_t i = 0; i < bytes / 8; ++i) words[i] = ~uint64_t(0);
}

}  // namespace

Block::Block() {
    arena_ = static_cast<char*>(std::aligned_alloc(1024, kArena));
    FP_CHECK(arena_, "emulated machine: no memory");
}

Block::~Block() {
    for (int i = 0; i < capacity_; ++i)
        if (thread_[i].tsan_fiber) __tsan_destroy_fiber(thread_[i].tsan_fiber);
    if (stacks_) munmap(stacks_, size_t(capacity_) * (kGuard + kStack));
    unpoison(arena_, kArena);
    std::free(arena_);
    while (spare_) {
        Meeting* next = spare_->next;
        delete spare_;
        spare_ = next;
    }
}

Block& Block::running() { return *running_block; }

size_t Block::arena_bytes() { return kArena; }

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

FP_UNTRACED void Block::prepare(int threads, uint64_t seed) {
    if (capacity_ < threads) {
        for (int i = 0; i < capacity_; ++i)
            if (thread_[i].tsan_fiber) __tsan_destroy_fiber(thread_[i].tsan_fiber);
        if (stacks_) munmap(stacks_, size_t(capacity_) * (kGuard + kStack));
        capacity_ = threads;
        thread_ = std::make_unique<Thread[]>(threads);
        const size_t bytes = size_t(capacity_) * (kGuard + kStack);
        void* stacks = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        FP_CHECK(stacks != MAP_FAILED, "emulated machine: no memory for ", threads, " stacks");
        stacks_ = static_cast<char*>(stacks);
        for (int i = 0; i < capacity_; ++i)
            FP_CHECK(mprotect(stack_of(i) - kGuard, kGuard, PROT_NONE) == 0,
                     "emulated machine: no guard page for stack ", i);
        uint32_t ring = 64;
        while (ring < uint32_t(threads)) ring *= 2;
        ready_ = std::make_unique<int[]>(ring);
        ready_mask_ = ring - 1;
        meetings_ = std::make_unique<Meeting*[]>(threads / 32 + 1);
        meeting_order_ = std::make_unique<char[]>(threads / 32 + 1);
    }
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

void Block::run(Body body, void* call, Index index, int threads, size_t dynamic_bytes, uint64_t seed) {
    body_ = body;
    call_ = call;
    index_ = index;
    running_block = this;
    prepare(threads, seed);

    poison(arena_, kArena);
    zone_count_ = 0;
    shared_bytes_ = 0;
    arena_used_ = kDynamicAlignment - kRedZone;
    FP_CHECK(dynamic_bytes <= kMostShared, dynamic_bytes, " bytes of dynamic shared memory, a block can have ",
             kMostShared);
    dynamic_ = take_shared(dynamic_bytes, Place());
    dynamic_bytes_ = dynamic_bytes;

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
    if (error_.empty() && live_)
        error_ = text("deadlock: ", threads_ - live_, " of ", threads_, " threads have left, ", barriers_[0].arrived,
                      " wait at the block's barrier", where_they_wait());
    if (error_.empty()) check_warpgroups();
    if (error_.empty()) check_zones();
    running_block = nullptr;
    ++counted.blocks;
    if (!error_.empty()) fail("block (", index.x, ",", index.y, ",", index.z, "), seed ", seed, ": ", error_);
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
                    : t.state == State::mbarrier  ? "an mbarrier"
                    : t.state == State::registers ? "registers that no warp gives back"
                                                  : "a barrier",
                    more.str());
        ++told;
    }
    return all;
}

FP_UNTRACED void Block::release(Barrier& b, int id) {
    b.arrived = 0;
    ++b.passed;
    for (int i = 0; i < threads_; ++i)
        if (thread_[i].state == State::barrier && thread_[i].barrier_id == id) make_ready(i);
}

FP_UNTRACED void Block::barrier(int id, int threads, const Place& at) {
    if (id < 0 || id > 15 || threads % 32 || (id == 0) != (threads == 0))
        stop(text("barrier ", id, " of ", threads, " threads: 1 to 15, of whole warps, ", text_of(at)));
    Barrier& b = barriers_[id];
    Thread& me = thread_[current_];
    char* order = &b.order[b.passed & 1];
    published(order);
    if (id == 0) threads = threads_;
    if (b.arrived == 0) {
        b.at = at;
        b.expected = threads;
    } else if (b.at.line() != at.line() && id == 0) {
        stop(text("divergent barrier: thread ", current_, " waits at ", text_of(at), ", others at ", text_of(b.at)));
    } else if (b.expected != threads) {
        stop(text("barrier ", id, ": thread ", current_, " expects ", threads, " threads, others ", b.expected, ", ",
                  text_of(at)));
    }
    ++counted.barriers;
    me.state = State::barrier;
    me.barrier_id = id;
    me.at = at;
    if (++b.arrived == b.expected) release(b, id);
    give_way();
    observed(order);
}

FP_UNTRACED Block::Meeting& Block::meet(unsigned mask, int operation, const void* mine, int bytes, const Place& at) {
    const int warp = current_ / 32, own = lane();
    if (threads_ - warp * 32 < 32) mask &= (1u << (threads_ - warp * 32)) - 1;
    if (!(mask >> own & 1)) stop(text("thread ", current_, " is not in its own mask, ", text_of(at)));

    Meeting* m = meetings_[warp];
    for (; m; m = m->next) {
        if (m->arrived == m->mask) continue;  // complete; its lanes are still reading
        if (m->mask == mask && !(m->arrived >> own & 1)) break;
        if (m->mask & mask)
            stop(text("warp operations with overlapping masks: ", text_of(at), " and ", text_of(m->at)));
    }
    if (m) {
        if (m->operation != operation || m->at.line() != at.line())
            stop(text("different warp operations meet: thread ", current_, " is at ", text_of(at), ", others at ",
                      text_of(m->at)));
    } else {
        m = spare_ ? spare_ : new Meeting;
        if (m == spare_) spare_ = m->next;
        m->mask = mask;
        m->arrived = m->left = 0;
        m->operation = operation;
        m->at = at;
        m->next = meetings_[warp];
        meetings_[warp] = m;
        ++counted.warp_operations;
    }
    copy_bytes(m->brought[own], mine, bytes);
    published(m);
    m->arrived |= 1u << own;
    Thread& me = thread_[current_];
    if (m->arrived == mask) {
        for (int i = 0; i < 32; ++i)
            if ((mask >> i & 1) && i != own) make_ready(warp * 32 + i);
    } else {
        me.state = State::meeting;
        me.at = at;
        me.mask = mask;
        give_way();
    }
    observed(m);
    return *m;
}

FP_UNTRACED void Block::leave(Meeting& m) {
    m.left |= 1u << lane();
    if (m.left != m.mask) return;
    Meeting** link = &meetings_[current_ / 32];
    while (*link != &m) link = &(*link)->next;
    *link = m.next;
    m.next = spare_;
    spare_ = &m;
}

// `bytes` of poisoned memory between red zones.
FP_UNTRACED char* Block::take_shared(size_t bytes, const Place& at) {
    const size_t padded = (bytes + kRedZone - 1) / kRedZone * kRedZone;
    const size_t first = arena_used_ + kRedZone;
    char* from = arena_ + first;
    arena_used_ = first + padded;
    shared_bytes_ += bytes;
    unpoison(from - kRedZone, padded + 2 * kRedZone);
    fill_with_nan(from - kRedZone, padded + 2 * kRedZone);
    poison(from - kRedZone, kRedZone);
    poison(from + bytes, padded - bytes + kRedZone);
    if (zone_count_ + 2 > int(std::size(zones_))) stop("more than 31 shared arrays");
    zones_[zone_count_++] = {from - kRedZone, kRedZone, at};
    zones_[zone_count_++] = {from + bytes, padded - bytes + kRedZone, at};
    return from;
}

FP_UNTRACED void* Block::shared(SharedSite& site, size_t bytes, const Place& at) {
    if (site.block == generation_) return site.at;
    if (bytes > kMostStatic)
        stop(text(text_of(at), ": ", bytes, " bytes of static shared memory, at most ", kMostStatic));
    if (shared_bytes_ + bytes > kMostShared)
        stop(text(text_of(at), ": ", shared_bytes_ + bytes, " bytes of shared memory, a block can have ", kMostShared));
    site = {.at = take_shared(bytes, at), .block = generation_};
    return site.at;
}

FP_UNTRACED void Block::check_zones() {
    if (under_asan()) return;  // it has already reported the access, with its line
    for (const Zone& z : std::span(zones_, zone_count_))
        for (size_t i = 0; i < z.bytes; ++i)
            if (z.from[i] != char(-1)) {
                error_ = text("shared memory written outside the array of ",
                              z.array.line() ? text_of(z.array) : "dynamic shared memory");
                return;
            }
}

FP_UNTRACED void Block::copy_async(void* to, const void* from, int bytes) {
    if (from) counted.bytes_loaded += bytes;
    if (settings().late_copy) {
        Thread& me = thread_[current_];
        me.copies.push_back({to, from, bytes, me.copy_group});
    } else if (from) {
        std::memcpy(to, from, bytes);
    } else {
        std::memset(to, 0, bytes);
    }
}

void Block::commit_copies() { ++thread_[current_].copy_group; }

void Block::wait_copies(int groups_in_flight) {
    Thread& me = thread_[current_];
    size_t kept = 0;
    for (const Copy& c : me.copies) {
        if (c.group >= me.copy_group - groups_in_flight)
            me.copies[kept++] = c;
        else if (c.from)
            std::memcpy(c.to, c.from, c.bytes);
        else
            std::memset(c.to, 0, c.bytes);
    }
    me.copies.resize(kept);
}

}  // namespace fp::emulated
