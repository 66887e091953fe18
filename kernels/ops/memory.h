// Device memory and copies.
#pragma once

#include <cstddef>

#include "kernels/types.h"

namespace fp {

struct Memory {
    void* (*alloc)(size_t bytes);  // aligned to 256 bytes at least
    void (*release)(void* block);
    void* (*alloc_host)(size_t bytes);  // on the host; from there copies run beside other work
    void (*release_host)(void* block);
    void (*copy_in)(void* device, const void* host, size_t bytes, Stream);
    void (*copy_out)(void* host, const void* device, size_t bytes, Stream);  // is there at return
    // To memory of alloc_host, and there once the stream has come so far.
    void (*copy_out_later)(void* host, const void* device, size_t bytes, Stream);
    void (*copy)(void* to, const void* from, size_t bytes, Stream);  // both on the device
    void (*zero)(void* device, size_t bytes, Stream);
    void (*synchronize)(Stream);
};

}  // namespace fp
