// Code that is left in the middle and come back to, on a stack of its own. One of context_*.cpp is
// linked: the processor's own switch where there is one (5 ns), else ucontext (450 ns).
#pragma once

#include <cstddef>

namespace fp::emulated {

// A context that will call `entry` (which never returns) on the stack [bottom, bottom + bytes).
void* make_context(char* bottom, size_t bytes, void (*entry)());

// Leaves the running context, whose handle goes to *from, and goes on with `to`.
void switch_context(void** from, void* to);

}  // namespace fp::emulated
