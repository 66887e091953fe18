#include "kernels/machine/emulated/context.h"

// Saves the callee-saved registers of the System V ABI on the stack; the caller saves the others.
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
    *--top = nullptr;  // entry's return address, never used; it also aligns the stack as a call would
    *--top = reinterpret_cast<void*>(entry);
    for (int kept = 0; kept < 6; ++kept) *--top = nullptr;
    return top;
}

void switch_context(void** from, void* to) { fp_switch_context(from, to); }

}  // namespace fp::emulated
