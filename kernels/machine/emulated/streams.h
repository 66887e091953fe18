// Streams, events and graphs of the emulated device. A stream executes its calls at once or, with Settings::deferred,
// as late as a GPU may: in order per stream, when the host or another stream waits for them. A missing wait, or a host
// buffer that is reused too early, then shows in the results.
#pragma once

#include <atomic>
#include <functional>

#include "kernels/kernels.h"
#include "kernels/machine/emulated/settings.h"

namespace fp::emulated {

// Whether a stream executes a call at once: nothing is deferred, and this thread captures no graph.
bool is_immediate();
void defer(Stream, std::function<void()>);

// Executes the call, queues it, or adds it to the capture.
template <class Call>
void give(Stream stream, Call call) {
    if (is_immediate())
        call();
    else
        defer(stream, std::move(call));
}

// Executes all queued calls of a stream, or of all streams. Throws the Error of a kernel that fails; the remaining
// calls are then dropped, as after a fault of a GPU.
void finish(Stream);
void finish_all();
// finish_all() where nothing may be thrown: the next finish() throws the Error. CUDA too waits for the whole device
// before it releases memory.
void finish_quietly();

// Throws during a capture of this thread, as CUDA does (cudaErrorStreamCaptureUnsupported).
void refuse_while_capturing(const char* what);
// The same where nothing may be thrown: the end of the capture releases `block` and throws.
void release_while_capturing(void* block);
bool capturing();

// Pinned host memory: copies from it read it when they execute. Copies from other memory read it when they are queued.
void* alloc_pinned(size_t bytes);
void release_pinned(void* block);
bool is_pinned(const void* at);

extern const StreamApi streams;
extern const Graph graph;

}  // namespace fp::emulated
