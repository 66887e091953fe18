// The order of work: streams, events, captured sequences, and names for a profiler.
#pragma once

#include "kernels/types.h"

namespace fp {

// Order between streams, and between them and the host. Where calls return with their work done, every stream
// is the null one (kernels/host_order.h).
struct Order {
    Stream (*open)();
    void (*close)(Stream);
    void* (*native)(Stream);  // by what name the vendor's libraries know it
    Event (*event)();
    void (*drop)(Event);
    void (*record)(Event, Stream);  // behind what the stream has been given
    void (*follow)(Stream, Event);  // what the stream is given from now on waits for it
    void (*wait)(Event);            // the host waits; not at all where it was never recorded
    double (*seconds)(Event from, Event until);  // between two that have happened
};

// Calls that are captured once, without being executed, and replayed any number of times. What they were given
// by value and by address is what they are given each time. A capture forbids what a device cannot repeat:
// allocating, releasing, waiting, and copies that the host takes part in.
struct Graph {
    void (*begin)(Stream);
    void* (*end)(Stream);     // ends the capture even where it throws
    void (*abandon)(Stream);  // ends a capture, if there is one, without a graph; throws nothing
    void (*launch)(void* graph, Stream);
    void (*release)(void* graph);
};

// Names for stretches of the host's work, which a profiler shows.
struct Ranges {
    void (*push)(const char* name);
    void (*pop)();
};

}  // namespace fp
