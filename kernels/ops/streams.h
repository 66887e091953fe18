// Streams and events, captured sequences, and names for a profiler.
#pragma once

#include "kernels/types.h"

namespace fp {

// Streams and events: order between streams, and between streams and the host. In a backend whose calls are complete
// when they return, every stream is the null stream (kernels/host_streams.h).
struct StreamApi {
    Stream (*open)();
    void (*close)(Stream);
    void* (*native)(Stream);  // the handle that the vendor's libraries take
    Event (*event)();
    void (*drop)(Event);
    void (*record)(Event, Stream);               // after all work queued in the stream so far
    void (*follow)(Stream, Event);               // work queued from now on waits for the event
    void (*wait)(Event);                         // the host waits; returns at once if never recorded
    double (*seconds)(Event from, Event until);  // between two events that have occurred
};

// A captured sequence of device calls (CUDA graph). Capturing does not execute the calls; each replay repeats them with
// the same values and addresses. Allocating, releasing, waiting and host copies are illegal during capture.
struct Graph {
    void (*begin)(Stream);
    void* (*end)(Stream);     // ends the capture even if it throws
    void (*abandon)(Stream);  // ends the capture, if there is one, and discards it; does not throw
    void (*launch)(void* graph, Stream);
    void (*release)(void* graph);
};

// Named ranges of host work, which a profiler shows.
struct Ranges {
    void (*push)(const char* name);
    void (*pop)();
};

}  // namespace fp
