// Streams of the emulated device, marks in them and graphs. What a stream is given is done at once or, by
// Settings::deferred, as late as a GPU may do it: in order for each stream, when the host or another stream waits for it.
// A missing wait, or a host buffer that is used again too early, then shows in what comes out.
#pragma once

#include <atomic>
#include <functional>

#include "kernels/kernels.h"
#include "kernels/machine/emulated/settings.h"

namespace fp::emulated {

// Whether a stream would do now what it is given: nothing is deferred, and this thread notes no graph.
bool runs_at_once();
void put_off(Stream, std::function<void()>);

// Done now, put off, or noted.
template <class Call>
void give(Stream stream, Call call) {
    if (runs_at_once())
        call();
    else
        put_off(stream, std::move(call));
}

// Until a stream, or all of them, have done what they were given. Throws what a kernel among it did wrong; the rest is
// then dropped, as after a fault of a GPU.
void finish(Stream);
void finish_all();
// The same where nothing may be thrown: the next finish() throws it. CUDA waits so for the whole device before it
// releases memory.
void finish_quietly();

// As CUDA does (cudaErrorStreamCaptureUnsupported): throws while this thread notes a graph.
void refuse_while_noting(const char* what);
// The same where nothing may be thrown: the graph's end throws, and `block` is released then.
void release_while_noting(void* block);
bool noting();

// Memory of the host from which copies run beside other work; from other memory they take what is there at the call.
void* alloc_pinned(size_t bytes);
void release_pinned(void* block);
bool is_pinned(const void* at);

extern const Order order;
extern const Graph graph;

}  // namespace fp::emulated
