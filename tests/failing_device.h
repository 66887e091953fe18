// The emulated machine as a device that fails where a test says so.
#pragma once

#include "kernels/error.h"
#include "tests/kernels_with.h"

namespace fp::testing {

struct FailingDevice {
    enum Call { nothing, begin, end, launch, copy };
    // Calls of this kind fail after so many that do not. With `lost` every call fails once one has.
    static inline Call fails = nothing;
    static inline int after = 0;
    static inline bool lost = false, dead = false;
    static inline int graphs = 0;  // that are not released

    FailingDevice() { fails = nothing, after = 0, lost = dead = false, graphs = 0; }

    static constexpr const char* kFirst = "the device has failed";
    static void meet(Call call) {
        if (dead) throw Error("a call of a lost device", Exit::device);
        if (call == nothing || call != fails || after-- > 0) return;
        dead = lost;
        throw Error(kFirst, Exit::device);
    }

    static const Kernels& own() { return fp::kernels(Backend::emulated); }

    static inline const Memory memory{
        .alloc = [](size_t bytes) { return meet(nothing), own().memory.alloc(bytes); },
        .release = [](void* p) { own().memory.release(p), meet(nothing); },
        .alloc_host = [](size_t bytes) { return meet(nothing), own().memory.alloc_host(bytes); },
        .release_host = [](void* p) { own().memory.release_host(p), meet(nothing); },
        .copy_in =
            [](void* to, const void* from, size_t bytes, Stream s) {
                meet(nothing), own().memory.copy_in(to, from, bytes, s);
            },
        .copy_out =
            [](void* to, const void* from, size_t bytes, Stream s) {
                meet(nothing), own().memory.copy_out(to, from, bytes, s);
            },
        .copy_out_later =
            [](void* to, const void* from, size_t bytes, Stream s) {
                meet(nothing), own().memory.copy_out_later(to, from, bytes, s);
            },
        .copy =
            [](void* to, const void* from, size_t bytes, Stream s) {
                meet(copy), own().memory.copy(to, from, bytes, s);
            },
        .zero = [](void* at, size_t bytes, Stream s) { meet(nothing), own().memory.zero(at, bytes, s); },
        .synchronize = [](Stream s) { meet(nothing), own().memory.synchronize(s); }};

    static inline const StreamApi order{
        .open = [] { return meet(nothing), own().streams.open(); },
        .close = [](Stream s) { own().streams.close(s), meet(nothing); },
        .native = [](Stream s) { return own().streams.native(s); },
        .event = [] { return meet(nothing), own().streams.event(); },
        .drop = [](Event e) { own().streams.drop(e), meet(nothing); },
        .record = [](Event e, Stream s) { meet(nothing), own().streams.record(e, s); },
        .follow = [](Stream s, Event e) { meet(nothing), own().streams.follow(s, e); },
        .wait = [](Event e) { meet(nothing), own().streams.wait(e); },
        .seconds = [](Event from, Event until) { return own().streams.seconds(from, until); }};

    static inline const Graph graph{.begin = [](Stream s) { meet(begin), own().graph->begin(s); },
                                    // A capture ends even where no graph comes of it.
                                    .end = [](Stream s) -> void* {
                                        void* made = own().graph->end(s);
                                        try {
                                            meet(end);
                                        } catch (...) {
                                            own().graph->release(made);
                                            throw;
                                        }
                                        ++graphs;
                                        return made;
                                    },
                                    .abandon = [](Stream s) { own().graph->abandon(s); },
                                    .launch = [](void* g, Stream s) { meet(launch), own().graph->launch(g, s); },
                                    .release = [](void* g) { own().graph->release(g), --graphs, meet(nothing); }};

    static const Kernels& kernels() {
        static const Kernels table =
            kernels_with(own(), {.memory = memory, .streams = order, .graph = &graph, .conv = own().conv});
        return table;
    }
};

}  // namespace fp::testing
