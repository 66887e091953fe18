#include "kernels/machine/emulated/context.h"

// What the System V ABI makes the callee's to keep goes on the stack; the rest is the caller's.
extern "C" void fp_switch_context(void** from, void* to);
__asm__(R"(
.text
.globl fp_switch_context
.hidden fp_switch_context
.type fp_switch_context,@function
fp_switch_context:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size fp_switch_context,.-fp_switch_context
)");

namespace fp::emulated {

void* make_context(char* bottom, size_t bytes, void (*entry)()) {
    void** top = reinterpret_cast<void**>(bottom + bytes);
    *--top = nullptr;  // where entry would return to; also aligns its frame as after a call
    *--top = reinterpret_cast<void*>(entry);
    for (int kept = 0; kept < 6; ++kept) *--top = nullptr;
    return top;
}

void switch_context(void** from, void* to) { fp_switch_context(from, to); }

}  // namespace fp::emulated
