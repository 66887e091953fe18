// The GPU's memory, streams, events, graphs and profiler ranges.
#include <nvtx3/nvToolsExt.h>

#include <algorithm>

#include "machine.cuh"

namespace fp::cuda {

// A stream that does not synchronise with the legacy default stream, created at first use on the GPU selected then.
cudaStream_t own_stream() {
    static const cudaStream_t stream = [] {
        cudaStream_t s = nullptr;
        check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
        return s;
    }();
    return stream;
}

namespace {

// The first error of a release during a capture, which invalidates the capture. Releases run in destructors and cannot
// throw it, so end() reports it.
thread_local const char* refused = nullptr;

// Releases do not throw, and clear the error, which the next launch would otherwise report.
void released(cudaError_t status) {
    if (status == cudaSuccess) return;
    if (!refused) refused = cudaGetErrorString(status);
    cudaGetLastError();
}

void* alloc(size_t bytes) {
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, std::max<size_t>(bytes, 1));
    if (status != cudaSuccess) cudaGetLastError();  // clears it: the next launch would report it
    FP_REQUIRE(status == cudaSuccess, Exit::device, "cuda: no ", bytes, " bytes: ", cudaGetErrorString(status));
    return block;
}
void release(void* block) { released(cudaFree(block)); }
void* alloc_host(size_t bytes) {
    void* block = nullptr;
    check(cudaHostAlloc(&block, std::max<size_t>(bytes, 1), cudaHostAllocDefault));
    return block;
}
void release_host(void* block) { released(cudaFreeHost(block)); }
void copy_in(void* device, const void* host, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, raw(s)));
}
void copy_out(void* host, const void* device, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, raw(s)));
    check(cudaStreamSynchronize(raw(s)));
}
void copy_out_later(void* host, const void* device, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, raw(s)));
}
void copy(void* to, const void* from, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, raw(s)));
}
void zero(void* device, size_t bytes, Stream s) { check(cudaMemsetAsync(device, 0, bytes, raw(s))); }
void synchronize(Stream s) { check(cudaStreamSynchronize(raw(s))); }

cudaEvent_t native(Event e) { return static_cast<cudaEvent_t>(e.handle); }

Stream open_stream() {
    cudaStream_t s = nullptr;
    check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    return {s};
}
void close_stream(Stream s) { released(cudaStreamDestroy(static_cast<cudaStream_t>(s.handle))); }
Event make_event() {
    cudaEvent_t e = nullptr;
    check(cudaEventCreate(&e));
    return {e};
}
void drop_event(Event e) { released(cudaEventDestroy(native(e))); }
double seconds(Event from, Event until) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, native(from), native(until)));
    return 1e-3 * milliseconds;
}

void begin(Stream s) {
    refused = nullptr;
    check(cudaStreamBeginCapture(raw(s), cudaStreamCaptureModeThreadLocal));
}
void* end(Stream s) {
    cudaGraph_t captured = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(raw(s), &captured);
    if (ended != cudaSuccess) cudaGetLastError();
    FP_REQUIRE(ended == cudaSuccess, Exit::device, "a capture failed: ",
               refused ? text("memory was released in it: ", refused) : cudaGetErrorString(ended));
    cudaGraphExec_t ready = nullptr;
    const cudaError_t made = cudaGraphInstantiate(&ready, captured, 0);
    cudaGraphDestroy(captured);
    check(made);
    return ready;
}
void abandon(Stream s) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaGraph_t captured = nullptr;
    if (cudaStreamIsCapturing(raw(s), &status) == cudaSuccess && status != cudaStreamCaptureStatusNone)
        cudaStreamEndCapture(raw(s), &captured);
    if (captured) cudaGraphDestroy(captured);
    cudaGetLastError();
}
void launch_graph(void* graph, Stream s) { check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), raw(s))); }
void release_graph(void* graph) { released(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph))); }

}  // namespace

extern const Memory memory{.alloc = alloc,
                           .release = release,
                           .alloc_host = alloc_host,
                           .release_host = release_host,
                           .copy_in = copy_in,
                           .copy_out = copy_out,
                           .copy_out_later = copy_out_later,
                           .copy = copy,
                           .zero = zero,
                           .synchronize = synchronize};

extern const StreamApi streams{
    .open = open_stream,
    .close = close_stream,
    .native = [](Stream s) -> void* { return raw(s); },
    .event = make_event,
    .drop = drop_event,
    .record = [](Event e, Stream s) { check(cudaEventRecord(native(e), raw(s))); },
    .follow = [](Stream s, Event e) { check(cudaStreamWaitEvent(raw(s), native(e))); },
    .wait = [](Event e) { check(cudaEventSynchronize(native(e))); },
    .seconds = seconds,
};

extern const Graph graph{
    .begin = begin, .end = end, .abandon = abandon, .launch = launch_graph, .release = release_graph};

extern const Ranges ranges{.push = [](const char* name) { nvtxRangePushA(name); }, .pop = [] { nvtxRangePop(); }};

}  // namespace fp::cuda
