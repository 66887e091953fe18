// Pooling by cuDNN. Its max pooling keeps no winners, which our backward reads, so that in training it is our
// own; in inference, and for the global mean, it is the library's.
#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

void pool(cudnnPoolingMode_t mode,
          const Map& in,
          const Map& out,
          int window_h,
          int window_w,
          int pad,
          int stride_h,
          int stride_w,
          const act* x,
          act* y,
          Stream stream) {
    const MapDescriptor dx(in, libraries().data_type()), dy(out, libraries().data_type());
    cudnnPoolingDescriptor_t d = nullptr;
    check(cudnnCreatePoolingDescriptor(&d), "pooling descriptor");
    check(cudnnSetPooling2dDescriptor(d, mode, CUDNN_PROPAGATE_NAN, window_h, window_w, pad, pad,
                                      stride_h, stride_w),
          "pooling descriptor");
    const cudnnStatus_t status =
        cudnnPoolingForward(libraries().on(stream), d, &kOne, dx, x, &kZero, dy, y);
    cudnnDestroyPoolingDescriptor(d);
    check(status, "pooling");
}

void max_forward(const MaxPoolShape& s, const act* x, act* y, uint8_t* argmax, Stream stream) {
    if (argmax)
        libraries().own->maxpool.forward(s, x, y, argmax, stream);
    else
        pool(CUDNN_POOLING_MAX, s.x, s.y(), s.window, s.window, s.pad, s.stride, s.stride, x, y,
             stream);
}

void max_backward(const MaxPoolShape& s,
                  const act* dy,
                  const uint8_t* argmax,
                  act* dx,
                  Write write,
                  Stream stream) {
    libraries().own->maxpool.backward(s, dy, argmax, dx, write, stream);
}

void mean_forward(const AvgPoolShape& s, const act* x, act* y, Stream stream) {
    if (s.p == 1 && s.q == 1)
        pool(CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING, s.x, s.y(), s.x.h, s.x.w, 0, s.x.h, s.x.w,
             x, y, stream);
    else
        libraries().own->avgpool.forward(s, x, y, stream);
}

void mean_backward(const AvgPoolShape& s, const act* dy, act* dx, Write write, Stream stream) {
    libraries().own->avgpool.backward(s, dy, dx, write, stream);
}

}  // namespace

extern const MaxPool maxpool{.forward = max_forward, .backward = max_backward};
extern const AvgPool avgpool{.forward = mean_forward, .backward = mean_backward};

}  // namespace fp::cudnn
