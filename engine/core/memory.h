// Owners of device memory. The arena holds one step's activations and gradients: blocks that are given back within the
// step are reused, and reset() frees all of them. Steps ask for the same sizes in the same order, so from the third
// step on nothing is allocated and every address is the same as in the step before.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp {

// Bytes of all blocks on devices with memory of their own (whose alloc is not alloc_host), now and at most so far.
int64_t device_bytes_in_use();
int64_t most_device_bytes();
void count_device_bytes(int64_t more);

// One block of memory with an owner.
template <auto kAlloc, auto kRelease>
class OwnedBlock {
public:
    OwnedBlock() = default;
    OwnedBlock(const Memory& memory, size_t bytes)
        : data_((memory.*kAlloc)(bytes), {memory.*kRelease, on_device(memory) ? int64_t(bytes) : 0}), bytes_(bytes) {
        count_device_bytes(data_.get_deleter().device_bytes);
    }

    void* data() const { return data_.get(); }
    template <class T>
    T* as() const {
        return static_cast<T*>(data());
    }
    size_t bytes() const { return data_ ? bytes_ : 0; }
    explicit operator bool() const { return data_ != nullptr; }
    // Makes the block at least this long; its contents are lost when it has to grow.
    void* grow(const Memory& memory, size_t bytes) {
        if (bytes > this->bytes()) *this = OwnedBlock(memory, bytes);
        return data();
    }

private:
    static bool on_device(const Memory& m) { return m.*kAlloc == m.alloc && m.alloc != m.alloc_host; }

    struct Release {
        void (*release)(void*);
        int64_t device_bytes;
        void operator()(void* block) const noexcept {
            count_device_bytes(-device_bytes);
            drop_errors([&] { release(block); });
        }
    };
    std::unique_ptr<void, Release> data_;
    size_t bytes_ = 0;
};
using Buffer = OwnedBlock<&Memory::alloc, &Memory::release>;                // on the device
using HostBuffer = OwnedBlock<&Memory::alloc_host, &Memory::release_host>;  // pinned: copied while the device computes

// Queues a copy to the device. The vector, which is pageable memory, may be changed once this returns.
template <class T>
void copy_to_device(const Memory& memory, void* device, const std::vector<T>& host, Stream stream = {}) {
    memory.copy_in(device, host.data(), host.size() * sizeof(T), stream);
}

// Waits for the copy, which starts after the work queued on the default stream.
template <class T>
std::vector<T> copy_to_host(const Memory& memory, const void* device, size_t count) {
    std::vector<T> host(count);
    memory.copy_out(host.data(), device, count * sizeof(T), {});
    return host;
}

class Arena {
public:
    explicit Arena(const Memory& memory) : memory_(memory) {}

    void* take(size_t bytes);
    void give(void* block);  // only what take() returned, once
    void reset();

    bool owns(const void* block) const { return taken_.count(const_cast<void*>(block)) != 0; }
    size_t capacity_bytes() const;  // allocated on the device
    // Changes whenever device memory is allocated or released: while it is the same, a repeated step gets the same
    // addresses.
    int64_t generation() const { return generation_; }

private:
    bool starts_slab(const char* address) const;

    const Memory& memory_;
    std::vector<Buffer> slabs_;
    std::map<char*, size_t> free_;  // by address, neighbours joined
    std::map<void*, size_t> taken_;
    int64_t generation_ = 0;
};

// An event of a stream, with an owner: a point in the work that was queued on it.
class OwnedEvent {
public:
    explicit OwnedEvent(const StreamApi& streams) : streams_(&streams), event_(streams.event()) {}
    ~OwnedEvent() {
        if (streams_) drop_errors([&] { streams_->drop(event_); });
    }
    OwnedEvent(OwnedEvent&& other) noexcept : streams_(std::exchange(other.streams_, nullptr)), event_(other.event_) {}
    OwnedEvent& operator=(OwnedEvent&&) = delete;

    void record(Stream s) { streams_->record(event_, s); }
    void wait() const { streams_->wait(event_); }
    void precede(Stream s) const { streams_->follow(s, event_); }  // work queued on s from now on waits
    double seconds_since(const OwnedEvent& earlier) const { return streams_->seconds(earlier.event_, event_); }

private:
    const StreamApi* streams_;
    Event event_;
};

}  // namespace fp
