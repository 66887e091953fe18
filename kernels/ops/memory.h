// Device memory and copies.
#pragma once

#include <cstddef>

#include "kernels/types.h"

namespace fp {

// Memory of the backend's device, and copies between it and the host.
struct Memory {
    void* (*alloc)(size_t bytes);  // aligned to 256 bytes or more
    void (*release)(void* block);
    void* (*alloc_host)(size_t bytes);  // page-locked host memory, so that copies overlap with other work
    void (*release_host)(void* block);
    void (*copy_in)(void* device, const void* host, size_t bytes, Stream);
    void (*copy_out)(void* host, const void* device, size_t bytes, Stream);  // waits for the copy
    // Does not wait: the data are valid once the stream has reached the copy. `host` is memory of alloc_host.
    void (*copy_out_later)(void* host, const void* device, size_t bytes, Stream);
    void (*copy)(void* to, const void* from, size_t bytes, Stream);  // both on the device
    void (*zero)(void* device, size_t bytes, Stream);
    void (*synchronize)(Stream);  // the host waits for all work in the stream
    bool is_host = false;         // the host's own memory, and every call is complete when it returns
};

}  // namespace fp
