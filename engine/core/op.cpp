#include "engine/core/op.h"

namespace fp {

std::string_view name(const Op& op) {
    using Name = std::string_view;
    return std::visit(
        Cases{[](const InputOp&) -> Name { return "input"; }, [](const ConvShape&) -> Name { return "conv2d"; },
              [](const LinearShape&) -> Name { return "linear"; },
              [](const BatchNormShape& s) -> Name {
                  if (s.residual) return s.relu ? "batchnorm_add_relu" : "batchnorm_add";
                  return s.relu ? "batchnorm_relu" : "batchnorm";
              },
              [](const PairedNormOp&) -> Name { return "batchnorm_in_pair"; },
              [](const NormPairOp&) -> Name { return "batchnorm_pair"; },
              [](const NormPoolOp&) -> Name { return "batchnorm_relu_maxpool"; },
              [](const ReluOp&) -> Name { return "relu"; }, [](const AddOp&) -> Name { return "add"; },
              [](const MaxPoolShape&) -> Name { return "maxpool"; },
              [](const AvgPoolShape&) -> Name { return "avgpool"; }, [](const DropoutOp&) -> Name { return "dropout"; },
              [](const LossShape&) -> Name { return "cross_entropy"; }},
        op);
}

double macs(const Op& op) {
    return std::visit(
        Cases{[](const one_of<ConvShape, LinearShape> auto& s) { return s.macs(); },
              [](const one_of<InputOp, BatchNormShape, PairedNormOp, NormPairOp, NormPoolOp, ReluOp, AddOp,
                              MaxPoolShape, AvgPoolShape, DropoutOp, LossShape> auto&) { return 0.0; }},
        op);
}

bool makes_channels(const Op& op) {
    return std::visit(Cases{[](const one_of<InputOp, ConvShape, LinearShape> auto&) { return true; },
                            [](const one_of<BatchNormShape, PairedNormOp, NormPairOp, NormPoolOp, ReluOp, AddOp,
                                            MaxPoolShape, AvgPoolShape, DropoutOp, LossShape> auto&) { return false; }},
                      op);
}

}  // namespace fp
