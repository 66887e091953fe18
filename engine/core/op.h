// What a row of the tape computes: one alternative per op, with the shape that it was made of. Readers take it apart
// with std::visit and Cases, so that a reader that forgets an op does not compile.
#pragma once

#include <concepts>
#include <string_view>
#include <variant>

#include "kernels/shapes.h"

namespace fp {

struct InputOp {};  // images
struct ReluOp {};
struct AddOp {};
struct DropoutOp {
    double p;
};
// A norm that the NormPairOp which reads this row computes. The row has a map and no value.
struct PairedNormOp {
    BatchNormShape norm;
};
// relu(norm(first input) + norm(x)), where x is the input of the second input, a row of PairedNormOp.
struct NormPairOp {
    BatchNormShape norm;
};
// Max pool of relu(norm(x)).
struct NormPoolOp {
    BatchNormShape norm;
    MaxPoolShape pool;
};

// Where a backend runs several ops as one, the row is the last one's and the others have none: a ConvShape of an
// inference pass includes the norm, addition and ReLU behind it.
using Op = std::variant<InputOp,
                        ConvShape,
                        LinearShape,
                        BatchNormShape,  // with the addition and ReLU that the shape names
                        PairedNormOp,
                        NormPairOp,
                        NormPoolOp,
                        ReluOp,
                        AddOp,
                        MaxPoolShape,
                        AvgPoolShape,
                        DropoutOp,
                        LossShape>;

// One function per alternative of a variant, or one for several: [](const one_of<ReluOp, AddOp> auto&) { ... }.
template <class... Functions>
struct Cases : Functions... {
    using Functions::operator()...;
};
template <class... Functions>
Cases(Functions...) -> Cases<Functions...>;
template <class T, class... Others>
concept one_of = (std::same_as<T, Others> || ...);

template <class Shape>
bool is(const Op& op) {
    return std::holds_alternative<Shape>(op);
}

std::string_view name(const Op&);  // "conv2d", "batchnorm_add_relu"
double macs(const Op&);            // multiply-adds of a forward pass: convolutions and linear layers
bool makes_channels(const Op&);    // starts a set of channels of its own; other ops continue those of their inputs

}  // namespace fp
