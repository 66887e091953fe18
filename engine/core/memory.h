// Owners of device memory. The arena holds one step's activations and gradients: blocks that are given back within the
// step are used again, and reset() takes all back. Steps ask for the same sizes in the same order, so from the third
// step on nothing is allocated and every address is the same as in the step before.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp {

class Arena {
public:
    explicit Arena(const Memory& memory) : memory_(memory) {}
    ~Arena() {
        drop_errors([&] { release(); });
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    void* take(size_t bytes);
    void give(void* block);  // only what take() returned, once
    void reset();

    bool owns(const void* block) const { return taken_.count(const_cast<void*>(block)) != 0; }
    size_t capacity_bytes() const;  // allocated on the device
    size_t peak_bytes() const { return peak_; }
    // Changes whenever device memory is allocated or released: while it is the same, a repeated step gets the same
    // addresses.
    int64_t generation() const { return generation_; }

private:
    void release();
    bool starts_slab(const char* address) const;

    const Memory& memory_;
    struct Slab {
        char* start;
        size_t bytes;
    };
    std::vector<Slab> slabs_;
    std::map<char*, size_t> free_;  // by address, neighbours joined
    std::map<void*, size_t> taken_;
    size_t in_use_ = 0, peak_ = 0;
    int64_t generation_ = 0;
};

// One block of host memory that a device can copy from and to while it computes (pinned memory), with an owner.
class HostBuffer {
public:
    HostBuffer() = default;
    HostBuffer(const Memory& memory, size_t bytes)
        : data_(memory.alloc_host(bytes), {memory.release_host}), bytes_(bytes) {}

    template <class T>
    T* as() const {
        return static_cast<T*>(data_.get());
    }
    size_t bytes() const { return bytes_; }
    // Makes the block at least this long; its contents are lost when it has to grow.
    void grow(const Memory& memory, size_t bytes) {
        if (bytes > bytes_) *this = HostBuffer(memory, bytes);
    }

private:
    struct Release {
        void (*release)(void*);
        void operator()(void* block) const noexcept {
            drop_errors([&] { release(block); });
        }
    };
    std::unique_ptr<void, Release> data_;
    size_t bytes_ = 0;
};

// An event of a stream, with an owner: a point in the work that was queued on it.
class OwnedEvent {
public:
    explicit OwnedEvent(const Order& order) : order_(&order), event_(order.event()) {}
    ~OwnedEvent() {
        if (order_) drop_errors([&] { order_->drop(event_); });
    }
    OwnedEvent(OwnedEvent&& other) noexcept : order_(std::exchange(other.order_, nullptr)), event_(other.event_) {}
    OwnedEvent& operator=(OwnedEvent&&) = delete;

    void record(Stream s) { order_->record(event_, s); }
    void wait() const { order_->wait(event_); }
    void precede(Stream s) const { order_->follow(s, event_); }  // work queued on s from now on waits
    double seconds_since(const OwnedEvent& earlier) const { return order_->seconds(earlier.event_, event_); }

private:
    const Order* order_;
    Event event_;
};

// One block of device memory with an owner.
class Buffer {
public:
    Buffer() = default;
    Buffer(const Memory& memory, size_t bytes) : memory_(&memory), data_(memory.alloc(bytes)), bytes_(bytes) {}
    ~Buffer() {
        if (data_) drop_errors([&] { memory_->release(data_); });
    }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        Buffer(std::move(other)).swap(*this);
        return *this;
    }

    void* data() const { return data_; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }
    size_t bytes() const { return bytes_; }
    explicit operator bool() const { return data_ != nullptr; }
    // Makes the block at least this long; its contents are lost when it has to grow.
    void* grow(const Memory& memory, size_t bytes) {
        if (bytes > bytes_) *this = Buffer(memory, bytes);
        return data_;
    }

private:
    void swap(Buffer& other) {
        std::swap(memory_, other.memory_);
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
    }
    const Memory* memory_ = nullptr;
    void* data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace fp
