// Convolution: each call by the algorithm of conv/choose.h.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/carve.h"
#include "kernels/cpu/channels.h"
#include "kernels/cpu/conv/choose.h"
#include "kernels/cpu/conv/direct.h"
#include "kernels/cpu/conv/filter_gradient.h"
#include "kernels/cpu/conv/winograd.h"
#include "kernels/cpu/conv_small.h"
#include "kernels/cpu/parallel.h"

namespace fp::cpu {
namespace {

// Scratch of a call: filters in another form, if any, then what the algorithm works in.
struct Scratch {
    Carve carve;
    float *filters, *work;
    Scratch(void* block, int64_t filter_floats, int64_t work_floats)
        : carve(block), filters(carve.take<float>(filter_floats)), work(carve.take<float>(work_floats)) {}
};

Scratch forward_scratch(const ConvShape& s, void* block) {
    if (choose(s, ConvPass::forward) == Algorithm::winograd)
        return {block, winograd::filter_floats(s), winograd::scratch(s.x, s.y())};
    return {block, 0, direct::scratch(direct::forward_grid(s))};
}

Scratch backward_data_scratch(const ConvShape& s, void* block) {
    if (choose(s, ConvPass::input_gradient) == Algorithm::winograd)
        return {block, winograd::filter_floats(s), winograd::scratch(s.y(), s.x)};
    int64_t work = 0;
    for (const direct::Grid& g : direct::backward_grids(s)) work = std::max(work, direct::scratch(g));
    return {block, s.w.stored(), work};
}

int64_t backward_filter_work(const ConvShape& s) {
    switch (choose(s, ConvPass::filter_gradient)) {
        case Algorithm::bilinear:
            return int64_t(small::scratch_bytes(s) / sizeof(float));
        case Algorithm::winograd:
            return winograd::backward_filter_scratch(s);
        case Algorithm::direct:
            break;
    }
    return direct::filter_gradient_scratch(s);
}

// The filters are those of a dw that is added: the sum itself starts at 0, whose bits then do not depend on what it is
// added to.
Scratch backward_filter_scratch(const ConvShape& s, void* block) {
    return {block, s.w.stored(), backward_filter_work(s)};
}

int64_t infer_floats(const ConvShape& s) {
    return choose(s, ConvPass::inference) == Algorithm::winograd ? winograd::scratch(s.x, s.y())
                                                                 : direct::scratch(direct::forward_grid(s));
}

size_t scratch_bytes(const ConvShape& s) {
    const auto bytes = [&](ConvPass call, auto other) {
        return choose(s, call) == Algorithm::bilinear ? small::scratch_bytes(s) : size_t(other());
    };
    const bool image = s.x.block == 1;  // has no dx
    return std::max(
        {bytes(ConvPass::forward, [&] { return forward_scratch(s, nullptr).carve.bytes(); }),
         image ? 0 : bytes(ConvPass::input_gradient, [&] { return backward_data_scratch(s, nullptr).carve.bytes(); }),
         backward_filter_scratch(s, nullptr).carve.bytes(),
         bytes(ConvPass::inference, [&] { return sizeof(float) * size_t(infer_floats(s)); })});
}

void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream) {
    const Algorithm algorithm = choose(s, ConvPass::forward);
    if (algorithm == Algorithm::bilinear) return small::forward(s, a, scratch);
    const Scratch work = forward_scratch(s, scratch);
    const Finish finish{.bias = as<float>(a.bias)};
    if (algorithm == Algorithm::winograd) {
        winograd::transform_filters(s, as<float>(a.w), work.filters);
        winograd::run(s.x, s.y(), s.pad, as<float>(a.x), work.filters, as<float>(a.y), finish, work.work);
    } else {
        direct::run(direct::forward_grid(s), as<float>(a.x), as<float>(a.w), as<float>(a.y), finish, work.work);
    }
}

void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch, Stream) {
    const Algorithm algorithm = choose(s, ConvPass::input_gradient);
    if (algorithm == Algorithm::bilinear) return small::backward_data(s, a, scratch);
    const Scratch work = backward_data_scratch(s, scratch);
    float* const dx = as<float>(a.dx);
    const Finish finish{.residual = a.write == Write::add ? dx : nullptr};
    if (algorithm == Algorithm::winograd) {
        winograd::transform_filters_for_dx(s, as<float>(a.w), work.filters);
        winograd::run(s.y(), s.x, s.pad, as<float>(a.dy), work.filters, dx, finish, work.work);
    } else {
        direct::transpose(s.w, as<float>(a.w), work.filters);
        for (const direct::Grid& grid : direct::backward_grids(s))
            direct::run(grid, as<float>(a.dy), work.filters, dx, finish, work.work);
    }
}

void backward_filter(const ConvShape& s, const Conv::BackwardFilter& a, void* scratch, Stream) {
    const bool add = a.write == Write::add;
    const Scratch work = backward_filter_scratch(s, scratch);
    const auto *x = as<float>(a.x), *dy = as<float>(a.dy);
    float* const dw = add ? work.filters : as<float>(a.dw);
    switch (choose(s, ConvPass::filter_gradient)) {
        case Algorithm::bilinear:
            small::backward_filter(s, x, dy, dw, work.work);
            break;
        case Algorithm::winograd:
            winograd::backward_filter(s, x, dy, dw, work.work);
            break;
        case Algorithm::direct:
            direct::filter_gradient(s, x, dy, dw, work.work);
    }
    if (add)
        for_pieces(s.w.stored(), [to = as<float>(a.dw), dw](int64_t first, int64_t last) {
#pragma omp simd
            for (int64_t i = first; i < last; ++i) to[i] += dw[i];
        });
    if (a.dbias) channel_sums(s.y(), as<float>(a.dy), as<float>(a.dbias), a.write);
}

size_t prepared_bytes(const ConvShape& s, Conv::Fused) {
    switch (choose(s, ConvPass::inference)) {
        case Algorithm::bilinear:
            return small::prepared_bytes(s);
        case Algorithm::winograd:
            return sizeof(float) * size_t(winograd::filter_floats(s));
        case Algorithm::direct:
            break;
    }
    return sizeof(float) * size_t(s.w.stored());
}

void prepare(const ConvShape& s, Conv::Fused, const par* w, void* prepared, Stream) {
    float* const filters = static_cast<float*>(prepared);
    switch (choose(s, ConvPass::inference)) {
        case Algorithm::bilinear:
            return small::prepare(s, as<float>(w), filters);
        case Algorithm::winograd:
            return winograd::transform_filters(s, as<float>(w), filters);
        case Algorithm::direct:
            std::memcpy(filters, w, sizeof(float) * size_t(s.w.stored()));
    }
}

void infer(const ConvShape& s, const Conv::Infer& a, void* scratch, Stream) {
    const float* const filters = static_cast<const float*>(a.prepared);
    float* const work = static_cast<float*>(scratch);
    const Finish finish{.bias = as<float>(a.bias), .residual = as<float>(a.residual), .relu = a.relu};
    switch (choose(s, ConvPass::inference)) {
        case Algorithm::bilinear:
            return small::infer(s, a, scratch);
        case Algorithm::winograd:
            return winograd::run(s.x, s.y(), s.pad, as<float>(a.x), filters, as<float>(a.y), finish, work);
        case Algorithm::direct:
            direct::run(direct::forward_grid(s), as<float>(a.x), filters, as<float>(a.y), finish, work);
    }
}

}  // namespace

extern const Conv conv{.scratch_bytes = scratch_bytes,
                       .forward = forward,
                       .backward_data = backward_data,
                       .backward_filter = backward_filter,
                       .prepared_bytes = prepared_bytes,
                       .prepare = prepare,
                       .infer = infer};

}  // namespace fp::cpu
