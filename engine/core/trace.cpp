#include "engine/core/trace.h"

#include <cstdlib>
#include <utility>

#include "kernels/host_streams.h"

namespace fp {
namespace {

// Converts to a pointer to a function of any type, which does nothing and returns zero.
struct Nothing {
    template <class Result, class... Args>
    using Function = Result (*)(Args...);
    template <class Result, class... Args>
    constexpr operator Function<Result, Args...>() const {
        return [](Args...) { return Result(); };
    }
};
constexpr Nothing nothing;

constexpr auto take = [](size_t bytes) { return std::malloc(bytes); };
const Memory memory{.alloc = take,
                    .release = [](void* block) { std::free(block); },
                    .alloc_host = take,
                    .release_host = [](void* block) { std::free(block); },
                    .copy_in = nothing,
                    .copy_out = nothing,
                    .copy_out_later = nothing,
                    .copy = nothing,
                    .zero = nothing,
                    .synchronize = nothing};

// An op whose functions do nothing. An op has no members but function pointers.
template <class Op, size_t... kMember>
constexpr Op filled(std::index_sequence<kMember...>) {
    return {((void)kMember, nothing)...};
}
template <class Op>
constexpr Op idle = filled<Op>(std::make_index_sequence<sizeof(Op) / sizeof(void (*)())>());

// A backend whose kernels do nothing and whose layouts are plain.
Kernels shape_only(Type activation) {
    return {.name = "shape only",
            .activation = activation,
            .parameter = Type::f32,
            .block = [](int) { return 1; },
            .image_block = [](int) { return 1; },
            .filter = [](int k, int c, int r, int s, int) { return Filter{.k = k, .c = c, .r = r, .s = s}; },
            .memory = memory,
            .streams = host_streams,
            .conv = idle<Conv>,
            .linear = idle<Linear>,
            .batchnorm = idle<BatchNorm>,
            .relu = idle<Relu>,
            .add = idle<Add>,
            .maxpool = idle<MaxPool>,
            .avgpool = idle<AvgPool>,
            .dropout = idle<Dropout>,
            .loss = idle<Loss>,
            .image = idle<Image>,
            .optimizer = idle<Optimizer>,
            .snnl = idle<Snnl>};
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
