// Where the gradient of an input is written.
#pragma once

#include "engine/core/tape.h"

namespace fp {

// Where a kernel, which always computes dx, writes it: in place; or in a buffer of its own if no gradient is wanted, or if
// there already is one and the kernel cannot add to it. Call finish() after the kernel.
class Dx {
public:
    Dx(Tape& tape, Var row, bool kernel_adds) : tape_(tape), map_(tape.value(row).map), slot_(tape.grad_slot(row)) {
        if (!slot_.data || (slot_.write == Write::add && !kernel_adds)) own_ = tape.empty(map_).data;
    }
    act* data() const { return own_ ? own_ : slot_.data; }
    Write write() const { return own_ ? Write::replace : slot_.write; }
    void finish() {
        if (!own_) return;
        if (slot_.data)
            tape_.kernels().add.accumulate(map_, {.dy = own_, .dx = slot_.data, .write = slot_.write}, tape_.stream());
        tape_.give(own_);
    }

private:
    Tape& tape_;
    Map map_;
    Tape::Slot slot_;
    act* own_ = nullptr;
};

}  // namespace fp
