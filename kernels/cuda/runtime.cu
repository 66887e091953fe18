// The GPU behind its kernels: memory, streams, events, graphs, names for a profiler.
#include <nvtx3/nvToolsExt.h>

#include <algorithm>

#include "machine.cuh"

namespace fp::cuda {

// A stream that the legacy default one does not wait for; made on the GPU that is selected at first use.
cudaStream_t own_stream() {
    static const cudaStream_t stream = [] {
        cudaStream_t s = nullptr;
        check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
        return s;
    }();
    return stream;
}

void select_gpu(int index) {
    int devices = 0;
    const bool present = cudaGetDeviceCount(&devices) == cudaSuccess;
    FP_REQUIRE(present && index < devices, Exit::device, "device cuda:", index,
               " is not here: ", present ? devices : 0, " GPUs are");
    check(cudaSetDevice(index));
}

std::string gpu() {
    int driver = 0, device = 0;
    cudaDeviceProp properties{};
    cudaDriverGetVersion(&driver);  // 0 where there is no driver
    const std::string version =
        driver == 0 ? "no driver" : text("driver ", driver / 1000, ".", driver % 1000 / 10);
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaGetDeviceProperties(&properties, device) != cudaSuccess)
        return text("no GPU, ", version);
    return text(properties.name, ", ", version);
}

namespace {

void* alloc(size_t bytes) {
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, std::max<size_t>(bytes, 1));
    FP_REQUIRE(status == cudaSuccess, Exit::device, "cuda: no ", bytes,
               " bytes: ", cudaGetErrorString(status));
    return block;
}
void release(void* block) { cudaFree(block); }
void* alloc_host(size_t bytes) {
    void* block = nullptr;
    check(cudaHostAlloc(&block, std::max<size_t>(bytes, 1), cudaHostAllocDefault));
    return block;
}
void release_host(void* block) { cudaFreeHost(block); }
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
void zero(void* device, size_t bytes, Stream s) {
    check(cudaMemsetAsync(device, 0, bytes, raw(s)));
}
void synchronize(Stream s) { check(cudaStreamSynchronize(raw(s))); }

cudaEvent_t native(Event e) { return static_cast<cudaEvent_t>(e.handle); }

Stream open_stream() {
    cudaStream_t s = nullptr;
    check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    return {s};
}
void close_stream(Stream s) { cudaStreamDestroy(static_cast<cudaStream_t>(s.handle)); }
Event make_event() {
    cudaEvent_t e = nullptr;
    check(cudaEventCreate(&e));
    return {e};
}
void drop_event(Event e) { cudaEventDestroy(native(e)); }
double seconds(Event from, Event until) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, native(from), native(until)));
    return 1e-3 * milliseconds;
}

void begin(Stream s) { check(cudaStreamBeginCapture(raw(s), cudaStreamCaptureModeThreadLocal)); }
void* end(Stream s) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamEndCapture(raw(s), &graph));
    check(cudaGraphInstantiate(&ready, graph, 0));
    check(cudaGraphDestroy(graph));
    return ready;
}
void launch_graph(void* graph, Stream s) {
    check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), raw(s)));
}
void release_graph(void* graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

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

extern const Order order{
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
    .begin = begin, .end = end, .launch = launch_graph, .release = release_graph};

extern const Ranges ranges{.push = [](const char* name) { nvtxRangePushA(name); },
                           .pop = [] { nvtxRangePop(); }};

}  // namespace fp::cuda
