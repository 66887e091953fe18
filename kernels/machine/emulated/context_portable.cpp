#include <ucontext.h>

#include <new>

#include "kernels/machine/emulated/context.h"

namespace fp::emulated {

void* make_context(char* bottom, size_t bytes, void (*entry)()) {
    const size_t own = (sizeof(ucontext_t) + 63) / 64 * 64;  // stored at the top of the context's own stack
    auto* context = new (bottom + bytes - own) ucontext_t;
    getcontext(context);
    context->uc_stack.ss_sp = bottom;
    context->uc_stack.ss_size = bytes - own;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    return context;
}

void switch_context(void** from, void* to) {
    ucontext_t here;
    *from = &here;
    swapcontext(&here, static_cast<ucontext_t*>(to));
}

}  // namespace fp::emulated
