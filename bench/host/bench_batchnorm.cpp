// Batch normalisation of ResNet-18, and of widths that pruning leaves: training forward and backward, and
// inference, with ReLU and with the residual of a block's end.
#include <string>

#include "bench/host/measure.h"

namespace fp::bench {
namespace {

struct Layer {
    const char* name;
    Map x;  // plain
    bool residual;
};
const Layer kLayers[] = {
    {"64b128/stem", {.n = 128, .c = 64, .h = 32, .w = 32}, false},
    {"64b128/layer1", {.n = 128, .c = 64, .h = 16, .w = 16}, true},
    {"64b128/layer2", {.n = 128, .c = 128, .h = 8, .w = 8}, true},
    {"64b128/layer3", {.n = 128, .c = 256, .h = 4, .w = 4}, true},
    {"64b128/layer4", {.n = 128, .c = 512, .h = 2, .w = 2}, true},
    {"64b128/layer1_odd", {.n = 128, .c = 45, .h = 16, .w = 16}, true},
    {"64b128/layer2_odd", {.n = 128, .c = 91, .h = 8, .w = 8}, true},
    {"64b128/layer3_odd", {.n = 128, .c = 183, .h = 4, .w = 4}, true},
    {"224b16/stem", {.n = 16, .c = 64, .h = 112, .w = 112}, false},
    {"224b16/layer1", {.n = 16, .c = 64, .h = 56, .w = 56}, true},
};

class Norm {
public:
    Norm(const Kernels& k, const BatchNormShape& s) : k_(k), shape_(s) {
        k.memory.zero(running_var_, size_t(s.x.stored_c()) * size_t(bytes_of(k.parameter)), {});
        train({});  // what backward reads
    }

    void train(Stream stream) {
        k_.batchnorm.train(shape_,
                           {.x = x_,
                            .residual = if_residual(residual_),
                            .gamma = gamma_,
                            .beta = beta_,
                            .running_mean = running_mean_,
                            .running_var = running_var_,
                            .y = y_,
                            .mean = mean_,
                            .rstd = rstd_},
                           scratch_, stream);
    }
    void infer(Stream stream) {
        k_.batchnorm.infer(shape_,
                           {.x = x_,
                            .residual = if_residual(residual_),
                            .gamma = gamma_,
                            .beta = beta_,
                            .running_mean = running_mean_,
                            .running_var = running_var_,
                            .y = y_},
                           stream);
    }
    void backward(Stream stream) {
        k_.batchnorm.backward(shape_,
                              {.x = x_,
                               .y = y_,
                               .dy = dy_,
                               .gamma = gamma_,
                               .beta = nullptr,
                               .mean = mean_,
                               .rstd = rstd_,
                               .to = {.dx = dx_,
                                      .dx_write = Write::replace,
                                      .dresidual = if_residual(dresidual_),
                                      .dresidual_write = Write::replace,
                                      .dgamma = dgamma_,
                                      .dbeta = dbeta_,
                                      .par_write = Write::replace}},
                              scratch_, stream);
    }

private:
    act* if_residual(const Buffer& b) const { return shape_.residual ? static_cast<act*>(b) : nullptr; }
    Buffer map() const { return {k_, k_.activation, shape_.x.stored()}; }
    Buffer channels() const { return {k_, k_.parameter, shape_.x.stored_c()}; }

    const Kernels& k_;
    BatchNormShape shape_;
    Buffer x_ = map(), y_ = map(), residual_ = map(), dx_ = map(), dy_ = map(), dresidual_ = map();
    Buffer gamma_ = channels(), beta_ = channels(), mean_ = channels(), rstd_ = channels();
    Buffer running_mean_ = channels(), running_var_ = channels();
    Buffer dgamma_ = channels(), dbeta_ = channels();
    Buffer scratch_{k_, k_.batchnorm.scratch_bytes(shape_)};
};

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    const int e = bytes_of(k.activation);
    for (const Layer& l : kLayers) {
        BatchNormShape s{.x = l.x, .relu = true, .residual = l.residual};
        s.x.block = k.block(l.x.c);
        const auto add_call = [&](const char* call, void (Norm::*run)(Stream), double bytes) {
            add<Norm>(k, {"batchnorm", text(l.name, "/", call), s.flops(), bytes}, s,
                      [run](Norm& norm, Stream stream) { (norm.*run)(stream); });
        };
        add_call("train", &Norm::train, s.bytes(e));
        add_call("backward", &Norm::backward, s.backward_bytes(e));
        add_call("infer", &Norm::infer, s.infer_bytes(e));
    }
});

}  // namespace
}  // namespace fp::bench
