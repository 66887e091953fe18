#include "engine/data/device_input.h"

#include <algorithm>

#include "kernels/error.h"

namespace fp {

DeviceInput::DeviceInput(const Kernels& k, const Preprocessing& p)
    : kernels_(k),
      preprocessing_(p),
      constants_(k.memory, sizeof(p.mean) + sizeof(p.std)),
      copies_(k.streams.open()),
      slots_{Slot(k.streams), Slot(k.streams)} {
    auto* mean = static_cast<float*>(constants_.data());
    k.memory.copy_in(mean, p.mean.data(), sizeof(p.mean), {});
    k.memory.copy_in(mean + 3, p.std.data(), sizeof(p.std), {});
    k.memory.synchronize({});
}

DeviceInput::~DeviceInput() {
    drop_errors([&] { kernels_.memory.synchronize(copies_); });
    drop_errors([&] { kernels_.memory.synchronize({}); });  // which may read the slots
    drop_errors([&] { kernels_.streams.close(copies_); });
}

Var DeviceInput::operator()(Tape& tape, const Batch& batch) {
    const int slot = upload(batch);
    const Var x = images(tape, slot, batch.n);
    release(slot);
    wait_for_copy(slot);
    return x;
}

int DeviceInput::upload(const Batch& batch, std::span<const float> weights) {
    const int index = next_;
    next_ = (next_ + 1) % kSlots;
    Slot& p = slots_[index];
    const Memory& memory = kernels_.memory;
    const size_t bytes = size_t(batch.n) * preprocessing_.image_size * preprocessing_.image_size * 3;
    const size_t label_bytes = batch.labels.size() * sizeof(int32_t), both_bytes = label_bytes + weights.size_bytes();
    p.weights_at = weights.empty() ? 0 : label_bytes;
    p.rgb.grow(memory, bytes);
    p.labels.grow(memory, both_bytes);
    p.ready.wait();  // the copy of two batches ago, which read host_labels
    p.host_labels.grow(memory, both_bytes);
    std::copy(batch.labels.begin(), batch.labels.end(), p.host_labels.as<int32_t>());
    std::copy(weights.begin(), weights.end(), reinterpret_cast<float*>(p.host_labels.as<char>() + label_bytes));
    p.used.precede(copies_);
    memory.copy_in(p.rgb.data(), batch.rgb, bytes, copies_);
    memory.copy_in(p.labels.data(), p.host_labels.as<int32_t>(), both_bytes, copies_);
    p.ready.record(copies_);
    p.ready.precede({});
    return index;
}

Var DeviceInput::images(Tape& tape, int slot, int n) const {
    const int size = preprocessing_.image_size;
    const Map map{.n = n, .c = 3, .h = size, .w = size, .block = kernels_.image_block(3)};
    const Tensor x = tape.empty(map);
    const auto* mean = static_cast<const float*>(constants_.data());
    kernels_.image.normalize(
        map, {.rgb = static_cast<const uint8_t*>(slots_[slot].rgb.data()), .mean = mean, .std = mean + 3, .x = x.data},
        {});
    return tape.input(x);
}

const float* DeviceInput::weights(int slot) const {
    const Slot& p = slots_[slot];
    return p.weights_at == 0 ? nullptr : reinterpret_cast<const float*>(p.labels.as<char>() + p.weights_at);
}

const int32_t* DeviceInput::labels(int slot) const { return static_cast<int32_t*>(slots_[slot].labels.data()); }

}  // namespace fp
