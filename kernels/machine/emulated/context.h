// Contexts: code that can be suspended and resumed, each on a stack of its own. One of context_*.cpp is linked: a
// switch in assembly where there is one for the processor (5 ns), otherwise ucontext (450 ns).
#pragma once

#include <cstddef>

namespace fp::emulated {

// A context that will call `entry` (which never returns) on the stack [bottom, bottom + bytes).
void* make_context(char* bottom, size_t bytes, void (*entry)());

// Suspends the running context, stores its handle in *from, and resumes `to`.
void switch_context(void** from, void* to);

}  // namespace fp::emulated
