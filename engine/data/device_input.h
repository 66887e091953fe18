// From a batch of 8-bit images to the first row of a tape.
//
// Batches are copied on a stream of their own into two slots in turn: while the device works on one slot, the next
// batch is copied into the other.
#pragma once

#include <array>
#include <span>

#include "engine/core/tape.h"
#include "engine/data/loader.h"
#include "engine/data/preprocessing.h"

namespace fp {

class DeviceInput {
public:
    DeviceInput(const Kernels& k, const Preprocessing& p);
    ~DeviceInput();
    DeviceInput(const DeviceInput&) = delete;
    DeviceInput& operator=(const DeviceInput&) = delete;

    // The images of all rows of the batch, padding included (its images are black). The batch's memory is free at
    // return, and the slot once the device has finished the work queued so far.
    Var operator()(Tape&, const Batch&);

    // The same in steps. upload() starts the copy and returns its slot; work queued from now on waits for the copy.
    // `weights`: one per row, or none.
    static constexpr int kSlots = 2;
    int upload(const Batch&, std::span<const float> weights = {});
    Var images(Tape&, int slot, int n) const;
    const int32_t* labels(int slot) const;
    const float* weights(int slot) const;  // null: none were uploaded
    // Marks the slot reusable once all work queued so far finishes.
    void release(int slot) { slots_[slot].used.record({}); }
    // Waits until the batch's own memory is free.
    void wait_for_copy(int slot) const { slots_[slot].ready.wait(); }
    // Of the slot's images and labels, until a larger batch comes.
    std::array<const void*, 2> addresses(int slot) const {
        return {slots_[slot].rgb.data(), slots_[slot].labels.data()};
    }

private:
    struct Slot {
        explicit Slot(const StreamApi& streams) : ready(streams), used(streams) {}
        Buffer rgb, labels;  // the labels, and behind them the weights
        HostBuffer host_labels;
        size_t weights_at = 0;  // in bytes; 0: there are none
        OwnedEvent ready, used;
    };
    const Kernels& kernels_;
    Preprocessing preprocessing_;
    Buffer constants_;  // means and deviations of the three channels
    Stream copies_;
    Slot slots_[kSlots];
    int next_ = 0;
};

}  // namespace fp
