// A network whose logits are 100, 0, 0, ... for every image.
#pragma once

#include <string_view>
#include <vector>

#include "engine/core/network.h"
#include "engine/core/ops.h"

namespace fp::testing {

inline Forward build_constant(const ModelSpec& spec, ParamStore& p) {
    const Kernels& k = p.kernels();
    const ConvLayer first{
        .name = "first", .weight = p.add_filter("first.weight", 8, 3, 3, 3, k.image_block(3)), .stride = 1, .pad = 1};
    const Param* w = p.add_linear("top.weight", spec.classes, 8, 1, 1, k.block(8));
    const Param* bias = p.add_vector("top.bias", spec.classes);
    return [=](Tape& t, Var x) { return linear(t, avgpool(t, conv_relu(t, x, first), 1, 1), *w, bias, "top"); };
}

inline void initialize_constant(ParamStore& params, uint64_t) {
    for (const Param& p : params.all()) {
        std::vector<double> values(size_t(p.count()), 0.0);
        if (p.name == "top.bias") values[0] = 100;
        params.set(p, values.data());
    }
}

inline constexpr std::string_view kConstantNames[]{"constant"}, kConstantStems[]{"imagenet"};
inline constexpr Architecture kConstant{.names = kConstantNames,
                                        .stems = kConstantStems,
                                        .head = "top",
                                        .aliases = {},
                                        .build = build_constant,
                                        .initialize = initialize_constant};

}  // namespace fp::testing
