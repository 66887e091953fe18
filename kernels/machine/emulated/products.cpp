// Warpgroup products of the emulated block.
#include <cmath>
#include <cstring>

#include "kernels/bf16.h"
#include "kernels/error.h"
#include "kernels/f16.h"
#include "kernels/machine/emulated/block.h"

namespace fp::emulated {

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
template <class Element>
void Block::read_line(const Lines& lines, int i, float (&values)[16]) {
    const auto field = [&](int shift) { return uint32_t(lines.descriptor >> shift & 0x3fff) << 4; };
    const uint32_t start = field(0), leading = field(16), stride = field(32);
    if (lines.transposed) {
        const uint32_t at = start + uint32_t(i / 64) * leading + uint32_t(i % 64) * 2;
        for (uint32_t k = 0; k < 16; ++k) {
            Element one;
            std::memcpy(&one, async_view(swizzled(at + k / 8 * stride + k % 8 * 128)), sizeof one);
            values[k] = to_float(one);
        }
        return;
    }
    const auto read_eight = [&](uint32_t half, uint32_t address) {
        Element eight[8];
        std::memcpy(eight, async_view(address), sizeof eight);
        for (uint32_t e = 0; e < 8; ++e) values[half * 8 + e] = to_float(eight[e]);
    };
    if (lines.descriptor >> 62 == 0) {  // not swizzled: ((8,n),2):((1,SBO),LBO)
        for (uint32_t half = 0; half < 2; ++half)
            read_eight(half, start + uint32_t(i / 8) * stride + uint32_t(i % 8) * 16 + half * leading);
        return;
    }
    const uint32_t at = start + uint32_t(i / 8) * stride + uint32_t(i % 8) * 128;
    const uint32_t base = lines.descriptor >> 49 & 7;
    for (uint32_t half = 0; half < 2; ++half) read_eight(half, swizzled(at + half * 16, base));
}

// Computes this thread's part of the product: two rows, a quarter of the columns.
void Block::run_product(const Product& p, float* sums) {
    const int warp = current_ / 32 % 4, l = lane();
    float a[2][16], b[16];
    const auto read = [&](const Lines& lines, int i, float(&values)[16]) {
        p.half ? read_line<f16>(lines, i, values) : read_line<bf16>(lines, i, values);
    };
    for (int i = 0; i < 2; ++i) read(p.a, warp * 16 + l / 4 + i * 8, a[i]);
    for (int j = 0; j < p.columns / 4; ++j) {  // two columns of each group of eight
        const int column = j / 2 * 8 + l % 4 * 2 + j % 2;
        read(p.b, column, b);
        for (int i = 0; i < 2; ++i) {
            float sum = 0;
            for (int k = 0; k < 16; ++k) sum += a[i][k] * b[k];
            float& d = sums[j / 2 * 4 + i * 2 + j % 2];
            d = p.accumulate ? d + sum : sum;
        }
    }
}

}  // namespace fp::emulated
