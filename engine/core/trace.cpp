#include "engine/core/trace.h"

#include <cstdlib>

#include "kernels/host_order.h"

namespace fp {
namespace {

// Becomes a function of any type that does nothing and returns zero.
struct Nothing {
    template <class Result, class... Args>
    using Function = Result (*)(Args...);
    template <class Result, class... Args>
    constexpr operator Function<Result, Args...>() const {
        return [](Args...) { return Result(); };
    }
};
constexpr Nothing nothing;

const Memory memory{.alloc = [](size_t bytes) { return std::malloc(bytes); },
                    .release = [](void* block) { std::free(block); },
                    .alloc_host = [](size_t bytes) { return std::malloc(bytes); },
                    .release_host = [](void* block) { std::free(block); },
                    .copy_in = nothing,
                    .copy_out = nothing,
                    .copy_out_later = nothing,
                    .copy = nothing,
                    .zero = nothing,
                    .synchronize = nothing};
const Conv conv{.scratch_bytes = nothing,
                .forward = nothing,
                .backward_data = nothing,
                .backward_filter = nothing,
                .prepared_bytes = nothing,
                .prepare = nothing,
                .infer = nothing};
const Linear linear{.scratch_bytes = nothing, .forward = nothing, .backward_data = nothing, .backward_filter = nothing};
const BatchNorm batchnorm{
    .scratch_bytes = nothing, .train = nothing, .infer = nothing, .backward = nothing, .backward_frozen = nothing};
const Relu relu{.forward = nothing, .backward = nothing};
const Add add{.forward = nothing, .accumulate = nothing};
const MaxPool maxpool{.forward = nothing, .backward = nothing};
const AvgPool avgpool{.forward = nothing, .backward = nothing};
const Dropout dropout{.forward = nothing, .backward = nothing};
const Loss loss{.forward = nothing, .backward = nothing, .softmax = nothing};
const Image image{.normalize = nothing};
const Optimizer optimizer{.sgd = nothing,
                          .adamw = nothing,
                          .blend = nothing,
                          .scratch_bytes = nothing,
                          .sum_squares = nothing,
                          .clip = nothing};
const Snnl snnl{.scratch_bytes = nothing, .forward = nothing, .backward = nothing};

// A backend whose kernels do nothing and whose layouts are plain.
Kernels shape_only(Type activation) {
    return {.name = "shape only",
            .activation = activation,
            .parameter = Type::f32,
            .block = [](int) { return 1; },
            .image_block = [](int) { return 1; },
            .filter = [](int k, int c, int r, int s, int) { return Filter{.k = k, .c = c, .r = r, .s = s}; },
            .memory = memory,
            .order = host_order,
            .conv = conv,
            .linear = linear,
            .batchnorm = batchnorm,
            .relu = relu,
            .add = add,
            .maxpool = maxpool,
            .avgpool = avgpool,
            .dropout = dropout,
            .loss = loss,
            .image = image,
            .optimizer = optimizer,
            .snnl = snnl};
}

// Networks keep a reference to their kernels.
const Kernels& shapes_of(Type activation) {
    static const Kernels f64 = shape_only(Type::f64), f32 = shape_only(Type::f32), bf16 = shape_only(Type::bf16);
    return activation == Type::f64 ? f64 : activation == Type::f32 ? f32 : bf16;
}

}  // namespace

Trace trace(const Architecture& architecture, const ModelSpec& spec, int image_size, int batch, Type activation) {
    const Kernels& k = shapes_of(activation);
    Trace out{.network = std::make_unique<Network>(architecture, spec, k), .nodes = {}};
    Arena arena(memory);
    Buffer scratch;
    Tape tape(k, arena, scratch, {.mode = Mode::eval, .rows = Rows::each_op});
    char pixel = 0;  // never read
    const Var x = tape.input({.data = static_cast<act*>(static_cast<void*>(&pixel)),
                              .map = {.n = batch, .c = 3, .h = image_size, .w = image_size}});
    out.network->forward(tape, x);
    out.nodes = tape.nodes();
    return out;
}

}  // namespace fp
