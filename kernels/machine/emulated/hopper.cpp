// Mbarriers and the tensor memory accelerator of the emulated block, and its warpgroups.
#include <cstring>

#include "kernels/error.h"
#include "kernels/machine/emulated/block.h"
#include "kernels/machine/emulated/sanitizers.h"

namespace fp::emulated {
namespace {

constexpr uint64_t kMbarrier = 0x6d62u << 16;  // added to an mbarrier's number in its word
constexpr size_t kSwizzleUnit = 1024;
constexpr int64_t kMostPending = (1 << 20) - 1;  // the most arrivals or bytes of an mbarrier

// ThreadSanitizer's object for a phase of an mbarrier. Phases alternate between two objects: with one, a thread that
// arrives at the next phase would seem to precede a thread that still waits for this one.
void* order_of(uint64_t* word, int phase) { return reinterpret_cast<char*>(word) + phase; }

}  // namespace

// ---- warps and warpgroups

void Block::whole_warp(const char* operation, const Place& at) {
    if (threads_ - current_ / 32 * 32 < 32)
        stop(text(operation, " in a warp of ", threads_ % 32, " threads, ", text_of(at)));
}

void Block::set_registers(int count, bool take, const Place& at) {
    const auto must_wait = [&] {
        const Untraced quiet;  // ends before give_way(), from which a stopped block never returns
        Warp& warp = warps_[size_t(current_) / 32];
        if (take ? count < warp.registers : count > warp.registers)
            stop(text("setmaxnreg: a warp ", take ? "takes" : "keeps", " ", count, " registers and has ",
                      warp.registers, ", ", text_of(at)));
        if (count - warp.registers > register_pool_) {
            thread_[current_].state = State::registers;
            thread_[current_].at = at;
            return true;
        }
        register_pool_ -= count - warp.registers;
        warp.registers = count;
        ++warp.changes;
        for (int i = 0; i < threads_; ++i)
            if (thread_[i].state == State::registers) make_ready(i);
        return false;
    };
    while (must_wait()) give_way();
}

// wgmma and setmaxnreg are warpgroup instructions: all four warps must have executed the same ones.
void Block::check_warpgroups() {
    for (size_t first = 0; first < warps_.size(); first += 4) {
        const size_t end = std::min(first + 4, warps_.size());
        bool alike = true, used = false;
        std::string counts;
        for (size_t w = first; w < end; ++w) {
            const Warp &one = warps_[w], &of = warps_[first];
            alike = alike && one.products == of.products && one.changes == of.changes && one.registers == of.registers;
            used = used || one.products > 0 || one.changes > 0;
            counts += text(w == first ? "" : "; ", one.products, " products, ", one.changes, " setmaxnreg to ",
                           one.registers);
        }
        if (used && (!alike || end - first < 4)) {
            error_ = text("the warps of warpgroup ", first / 4, " differ: ", counts);
            return;
        }
    }
}

// ---- mbarriers

std::string Block::missing_at(const uint64_t* word) const {
    for (size_t i = 0; i < mbarriers_.size(); ++i)
        if (const Mbarrier& b = mbarriers_[i]; b.word == word)
            return text(" (number ", i, " in the order of their initialisation): ", b.pending, " of ", b.expected,
                        " arrivals and ", b.bytes, " bytes are missing");
    return {};
}

Block::Mbarrier& Block::mbarrier(const uint64_t* word, const Place& at) {
    const uint64_t number = *word - kMbarrier;
    if (number >= mbarriers_.size() || mbarriers_[number].word != word)
        stop(text("no mbarrier was initialised here, ", text_of(at)));
    return mbarriers_[number];
}

void Block::init_mbarrier(uint64_t* word, int arrivals, const Place& at) {
    const Untraced quiet;
    if (arrivals < 1 || arrivals > kMostPending) stop(text("an mbarrier of ", arrivals, " arrivals, ", text_of(at)));
    *word = kMbarrier + mbarriers_.size();
    mbarriers_.push_back({.word = word, .expected = arrivals, .pending = arrivals});
}

void Block::fence_mbarriers() {
    const Untraced quiet;
    for (Mbarrier& b : mbarriers_) b.fenced = true;
}

void Block::arrive_mbarrier(uint64_t* word, int bytes, const Place& at) {
    const Untraced quiet;
    Mbarrier& b = mbarrier(word, at);
    published(order_of(word, b.phase));
    if (b.pending == 0)
        stop(text("mbarrier arrive overflow: all ", b.expected, " of this phase have arrived, ", text_of(at)));
    --b.pending;
    b.bytes += bytes;
    if (bytes < 0 || b.bytes > kMostPending)
        stop(text("an mbarrier that expects ", b.bytes, " bytes, at most ", kMostPending, ", ", text_of(at)));
    end_phase(b);
}

void Block::end_phase(Mbarrier& b) {
    if (b.pending > 0 || b.bytes != 0) return;
    b.pending = b.expected;
    b.phase ^= 1;
    for (int i = 0; i < threads_; ++i)
        if (thread_[i].state == State::mbarrier && thread_[i].waits_for == b.word) make_ready(i);
}

void Block::wait_mbarrier(uint64_t* word, int parity, const Place& at) {
    const auto must_wait = [&] {
        const Untraced quiet;  // ends before give_way(), from which a stopped block never returns
        if (mbarrier(word, at).phase != parity) return false;
        Thread& me = thread_[current_];
        me.state = State::mbarrier;
        me.waits_for = word;
        me.at = at;
        return true;
    };
    while (must_wait()) give_way();
    observed(order_of(word, parity));
}

// A thread that polls must not block the rest: started copies complete, and other threads run in between.
bool Block::test_mbarrier(uint64_t* word, int parity, const Place& at) {
    const auto over = [&] {
        const Untraced quiet;
        return mbarrier(word, at).phase != parity;
    };
    while (!over() && !tensor_copies_.empty()) run_tensor_copy(0);
    if (!over()) {
        make_ready(current_);
        give_way();
    }
    if (!over()) return false;
    observed(order_of(word, parity));
    return true;
}

// ---- the view of the asynchronous units

uint32_t Block::shared_address(const void* p) const { return uint32_t(static_cast<const char*>(p) - arena_); }

char* Block::async_view(uint32_t address) {
    if (view_block_ != generation_) {
        view_.assign(kArena, char(-1));
        view_block_ = generation_;
    }
    return view_.data() + address;
}

void Block::fence_async() {
    const Untraced quiet;
    std::memcpy(async_view(shared_address(dynamic_)), dynamic_, dynamic_bytes_);
}

// ---- the tensor memory accelerator

void Block::copy_tensor(TensorCopy copy, const Place& at) {
    const Untraced quiet;
    const char* to = static_cast<const char*>(copy.to);
    if (to < dynamic_ || to + copy.map.rows() * 128 > dynamic_ + dynamic_bytes_)
        stop(text("a tensor copy outside dynamic shared memory, ", text_of(at)));
    if (shared_address(to) % kSwizzleUnit)
        stop(text("a tensor copy to an address that is no multiple of 1024, ", text_of(at)));
    if (!mbarrier(copy.barrier, at).fenced)
        stop(text("a tensor copy to an mbarrier whose initialisation was not fenced, ", text_of(at)));
    if (copy.first[0] % 8)
        stop(text("a tensor copy from element ", copy.first[0],
                  " on: its box does not begin at a multiple of 16 bytes, ", text_of(at)));
    if (!copy.map.settled) access_global(at);
    const TensorMapSpec& m = copy.map;
    for (int i = 0; i < (m.im2col ? 2 : 0); ++i) {
        if (copy.offset[i] < 0 || copy.offset[i] > 255)
            stop(text("an im2col offset of ", copy.offset[i], ", 0 to 255 are possible, ", text_of(at)));
        if (copy.first[i + 1] < m.lower[i] || copy.first[i + 1] >= m.size[i + 1] + m.upper[i])
            stop(text("an im2col copy from place ", copy.first[i + 1], " on, which is not in the box [", m.lower[i],
                      ", ", m.size[i + 1] + m.upper[i], "), ", text_of(at)));
    }
    ++counted.tensor_copies;
    copy.at_the_last_moment = random_ == 0 || draw() % 2 == 0;
    tensor_copies_.push_back(copy);
    if (!settings().late_copy) run_tensor_copy(tensor_copies_.size() - 1);
}

void Block::run_tensor_copy(size_t which) {
    const Untraced quiet;
    const TensorCopy copy = tensor_copies_[which];
    tensor_copies_[which] = tensor_copies_.back();
    tensor_copies_.pop_back();

    const TensorMapSpec& m = copy.map;
    const uint32_t first = shared_address(copy.to);
    const auto inside = [&](int dimension, int64_t i) { return i >= 0 && i < m.size[dimension]; };
    int64_t place[3] = {copy.first[1], copy.first[2], copy.first[3]};  // of all dimensions but the fastest
    for (int row = 0; row < m.rows(); ++row) {
        int64_t from = 0;
        bool present = true;
        for (int i = 1; i < m.rank; ++i) {
            const int64_t at = place[i - 1] + (m.im2col && i < 3 ? copy.offset[i - 1] : 0);
            present = present && inside(i, at);
            from += at * m.stride[i];
        }
        for (int chunk = 0; chunk < m.row() / 8; ++chunk) {
            uint16_t eight[8] = {};
            for (int e = 0; e < 8; ++e) {
                const int64_t i = copy.first[0] + chunk * 8 + e;
                if (!present || !inside(0, i)) continue;
                eight[e] = static_cast<const uint16_t*>(m.base)[from + i];
                counted.bytes_loaded += sizeof(uint16_t);
            }
            const uint32_t to = swizzled(first + uint32_t(row) * 128 + uint32_t(chunk) * 16);
            std::memcpy(async_view(to), eight, sizeof eight);
            std::memcpy(arena_ + to, eight, sizeof eight);
        }
        if (m.im2col) {
            place[0] += m.step;
            if (place[0] < m.size[1] + m.upper[0]) continue;
            place[0] = m.lower[0];
            place[1] += m.step;
            if (place[1] < m.size[2] + m.upper[1]) continue;
            place[1] = m.lower[1];
            ++place[2];
        } else {
            for (int i = 0; i < m.rank - 1; ++i) {
                if (++place[i] < copy.first[i + 1] + m.box[i + 1]) break;
                place[i] = copy.first[i + 1];
            }
        }
    }
    Mbarrier& b = mbarrier(copy.barrier, Place());
    b.bytes -= m.bytes();
    end_phase(b);
}

}  // namespace fp::emulated
