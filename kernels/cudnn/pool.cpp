// Pooling by cuDNN: max pooling in inference, and the global mean. cuDNN's max pooling does not return argmax, which
// our backward reads, so training uses our own kernels.
#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

struct Window {
    cudnnPoolingMode_t mode;
    int h, w, pad, stride_h, stride_w;
};
struct Pooled {
    Map in, out;
    const act* x;
    act* y;
};
void pool(const Window& window, const Pooled& of, Stream stream) {
    const MapDescriptor in(of.in, libraries().data_type()), out(of.out, libraries().data_type());
    cudnnPoolingDescriptor_t d = nullptr;
    check(cudnnCreatePoolingDescriptor(&d), "pooling descriptor");
    check(cudnnSetPooling2dDescriptor(d, window.mode, CUDNN_PROPAGATE_NAN, window.h, window.w, window.pad, window.pad,
                                      window.stride_h, window.stride_w),
          "pooling descriptor");
    const cudnnStatus_t status = cudnnPoolingForward(libraries().on(stream), d, &kOne, in, of.x, &kZero, out, of.y);
    cudnnDestroyPoolingDescriptor(d);
    check(status, "pooling");
}

void max_forward(const MaxPoolShape& s, const MaxPool::Forward& args, Stream stream) {
    if (args.argmax) return libraries().own->maxpool.forward(s, args, stream);
    pool({.mode = CUDNN_POOLING_MAX,
          .h = s.window,
          .w = s.window,
          .pad = s.pad,
          .stride_h = s.stride,
          .stride_w = s.stride},
         {.in = s.x, .out = s.y(), .x = args.x, .y = args.y}, stream);
}

void max_backward(const MaxPoolShape& s, const MaxPool::Backward& args, Stream stream) {
    libraries().own->maxpool.backward(s, args, stream);
}

void mean_forward(const AvgPoolShape& s, const AvgPool::Forward& args, Stream stream) {
    if (s.p != 1 || s.q != 1) return libraries().own->avgpool.forward(s, args, stream);
    pool({.mode = CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING,
          .h = s.x.h,
          .w = s.x.w,
          .pad = 0,
          .stride_h = s.x.h,
          .stride_w = s.x.w},
         {.in = s.x, .out = s.y(), .x = args.x, .y = args.y}, stream);
}

void mean_backward(const AvgPoolShape& s, const AvgPool::Backward& args, Stream stream) {
    libraries().own->avgpool.backward(s, args, stream);
}

}  // namespace

extern const MaxPool maxpool{.forward = max_forward, .backward = max_backward};
extern const AvgPool avgpool{.forward = mean_forward, .backward = mean_backward};

}  // namespace fp::cudnn
