// Mbarriers, the tensor memory accelerator and warpgroup products of the emulated block.
#include <cmath>
#include <cstring>

#include "kernels/bf16.h"
#include "kernels/error.h"
#include "kernels/machine/emulated/block.h"
#include "kernels/machine/emulated/sanitizers.h"

namespace fp::emulated {
namespace {

constexpr uint64_t kMbarrier = 0x6d62u << 16;  // added to an mbarrier's number in its word
constexpr size_t kSwizzleUnit = 1024;
constexpr int64_t kMostPending = (1 << 20) - 1;  // the most arrivals or bytes of an mbarrier

std::string text_of(const Place& at) {
    const std::string path = at.file_name();
    return text(path.substr(path.rfind('/') + 1), ":", at.line());
}

// The 128-byte swizzle: XORs the number of a 16-byte chunk with that of its 128-byte row modulo 8, counted from row
// `base` on.
constexpr uint32_t swizzled(uint32_t address, uint32_t base = 0) {
    return address ^ ((((address >> 7) - base) & 7) << 4);
}

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
        view_.assign(arena_bytes(), char(-1));
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

// ---- products

void Block::fence_products() {
    const Untraced quiet;
    thread_[current_].products_fenced = true;
}

// The current values of accumulators d, which have products in flight.
std::vector<float>& Block::held(float* d) {
    for (Held& h : thread_[current_].held)
        if (h.d == d) return h.sums;
    return thread_[current_].held.emplace_back(Held{d, {}}).sums;
}

void Block::multiply(Product p, const Place& at) {
    const Untraced quiet;
    Thread& me = thread_[current_];
    if (!me.products_fenced) stop(text("wgmma without a wgmma_fence before it, ", text_of(at)));
    for (const Lines& lines : {p.a, p.b}) {
        const uint64_t start = (lines.descriptor & 0x3fff) << 4;
        // A base offset is confirmed on an H200 for K-major operands only (the probe told_as_base_offset).
        if (lines.descriptor >> 49 & 7 && (lines.transposed || lines.descriptor >> 62 != 1))
            stop(text("wgmma: a base offset of an operand that is not swizzled rows, ", text_of(at)));
        if (lines.descriptor >> 62 == 0 && !lines.transposed) continue;
        if (lines.descriptor >> 62 != 1) stop(text("wgmma: rows that are not swizzled, ", text_of(at)));
        // An operand may start at any row (confirmed on an H200, for K-major and MN-major); starting within a row is
        // not documented beyond this.
        if (lines.transposed && start % 128)
            stop(text("wgmma: a transposed operand at no multiple of 128, ", text_of(at)));
        if (!lines.transposed && start % 32)
            stop(text("wgmma: an operand at no multiple of 32 of its rows, ", text_of(at)));
    }
    p.group = me.product_group;
    if (current_ % 128 == 0) counted.matrix_flops += 2.0 * 64 * 16 * p.columns;
    if (current_ % 32 == 0) {
        ++counted.matrix_products;
        ++warps_[size_t(current_) / 32].products;
    }
    if (!settings().late_copy) return run_product(p, p.d);
    me.products.push_back(p);
    std::vector<float>& sums = held(p.d);
    if (!sums.empty()) return;
    sums.assign(p.d, p.d + p.columns / 2);
    std::fill(p.d, p.d + p.columns / 2, NAN);
}

void Block::commit_products() {
    const Untraced quiet;
    ++thread_[current_].product_group;
}

void Block::wait_products(int groups_in_flight) {
    const Untraced quiet;
    Thread& me = thread_[current_];
    size_t done = 0;
    while (done < me.products.size() && me.products[done].group < me.product_group - groups_in_flight) {
        const Product& p = me.products[done++];
        run_product(p, held(p.d).data());
    }
    me.products.erase(me.products.begin(), me.products.begin() + std::ptrdiff_t(done));
    std::erase_if(me.held, [&me](const Held& h) {
        for (const Product& p : me.products)
            if (p.d == h.d) return false;
        std::copy(h.sums.begin(), h.sums.end(), h.d);
        return true;
    });
    me.products_fenced = !me.products.empty();
}

void Block::check_settled(const float* first, const float* end, const Place& at) {
    const Untraced quiet;
    for (const Held& h : thread_[current_].held)
        if (h.d < end && h.d + h.sums.size() > first)
            stop(text("sums of products that are still in flight, ", text_of(at)));
}

// K-major: line i is row i, eight rows to a group, groups `stride` bytes apart. MN-major (transposed): row k holds 64
// lines, eight rows to a group, groups `stride` bytes apart; the next 64 lines begin `leading` bytes further on. In
// units of 16 bytes these are the canonical layouts ((8,n),2):((8,SBO),1) and ((8,n),(8,k)):((1,LBO),(8,SBO)) of the
// PTX ISA.
void Block::read_line(const Lines& lines, int i, float (&values)[16]) {
    const auto field = [&](int shift) { return uint32_t(lines.descriptor >> shift & 0x3fff) << 4; };
    const uint32_t start = field(0), leading = field(16), stride = field(32);
    if (lines.transposed) {
        const uint32_t at = start + uint32_t(i / 64) * leading + uint32_t(i % 64) * 2;
        for (uint32_t k = 0; k < 16; ++k) {
            bf16 one;
            std::memcpy(&one, async_view(swizzled(at + k / 8 * stride + k % 8 * 128)), sizeof one);
            values[k] = to_float(one);
        }
        return;
    }
    if (lines.descriptor >> 62 == 0) {  // not swizzled: ((8,n),2):((1,SBO),LBO)
        for (uint32_t half = 0; half < 2; ++half) {
            bf16 eight[8];
            std::memcpy(eight, async_view(start + uint32_t(i / 8) * stride + uint32_t(i % 8) * 16 + half * leading),
                        sizeof eight);
            for (int e = 0; e < 8; ++e) values[half * 8 + uint32_t(e)] = to_float(eight[e]);
        }
        return;
    }
    const uint32_t at = start + uint32_t(i / 8) * stride + uint32_t(i % 8) * 128;
    const uint32_t base = lines.descriptor >> 49 & 7;
    for (int half = 0; half < 2; ++half) {
        bf16 eight[8];
        std::memcpy(eight, async_view(swizzled(at + uint32_t(half) * 16, base)), sizeof eight);
        for (int e = 0; e < 8; ++e) values[half * 8 + e] = to_float(eight[e]);
    }
}

// Computes this thread's part of the product: two rows, a quarter of the columns.
void Block::run_product(const Product& p, float* sums) {
    const int warp = current_ / 32 % 4, l = lane();
    float a[2][16], b[16];
    for (int i = 0; i < 2; ++i) read_line(p.a, warp * 16 + l / 4 + i * 8, a[i]);
    for (int j = 0; j < p.columns / 4; ++j) {  // two columns of each group of eight
        const int column = j / 2 * 8 + l % 4 * 2 + j % 2;
        read_line(p.b, column, b);
        for (int i = 0; i < 2; ++i) {
            float sum = 0;
            for (int k = 0; k < 16; ++k) sum += a[i][k] * b[k];
            float& d = sums[j / 2 * 4 + i * 2 + j % 2];
            d = p.accumulate ? d + sum : sum;
        }
    }
}

}  // namespace fp::emulated
